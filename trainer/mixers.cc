#include "trainer/mixers.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <string_view>

namespace longhaul::trainer {
namespace {

using torch::Tensor;

constexpr double kTemperature = 16;  // of gated decays, as published
constexpr double kScaleBase = 512;   // of lex, likewise
constexpr std::string_view kArchitectures[] = {"transformer", "retnet", "yoco", "yoco-window",
                                               "diff",        "diff2",  "lex"};

// x [n_rows, length, n * dim] as [n_rows, n, length, dim].
Tensor split_heads(const Tensor& x, int64_t n) { return x.unflatten(-1, {n, -1}).transpose(1, 2); }

// The other way.
Tensor join_heads(const Tensor& heads) { return heads.transpose(1, 2).flatten(2); }

// [length, length]: whether a row's token sees a column's, among the last `window` or all.
Tensor seen(int64_t length, int64_t window, const torch::TensorOptions& options) {
  const Tensor distance = at::arange(length, options.dtype(at::kLong)).unsqueeze(1) -
                          at::arange(length, options.dtype(at::kLong)).unsqueeze(0);
  const Tensor causal = distance.ge(0);
  return window == 0 ? causal : causal.logical_and(distance.lt(window));
}

int64_t first_shared(const ModelConfig& config) { return config.n_layers - config.n_shared; }

bool is_yoco(const ModelConfig& config) {
  return config.arch == "yoco" || config.arch == "yoco-window";
}

}  // namespace

MixerKind mixer_of(const ModelConfig& config, int64_t layer) {
  if (config.arch == "retnet") return MixerKind::kRetention;
  if (config.arch == "diff") return MixerKind::kTwoParts;
  if (config.arch == "diff2") return MixerKind::kSameKeys;
  if (config.arch == "lex") return MixerKind::kDecayed;
  if (!is_yoco(config)) return MixerKind::kAttention;
  if (layer >= first_shared(config)) return MixerKind::kShared;
  return config.arch == "yoco" ? MixerKind::kGatedRetention : MixerKind::kWindow;
}

Status validate(const ModelConfig& config) {
  const auto* end = std::end(kArchitectures);
  if (std::find(std::begin(kArchitectures), end, config.arch) == end) {
    return bad_input(
        "--arch {}: expected transformer, retnet, yoco, yoco-window, diff, diff2 or lex",
        config.arch);
  }
  if (is_yoco(config) && (config.n_shared < 1 || config.n_shared > config.n_layers))
    return bad_input("--shared-layers: expected 1 to {}, found {}", config.n_layers,
                     config.n_shared);
  if (config.arch == "yoco-window" && config.window < 1)
    return bad_input("--window: expected at least 1, found {}", config.window);
  if (config.arch == "diff2" && config.n_heads / config.n_kv_heads % 2 != 0) {
    return bad_input("--heads {}: expected pairs of heads for each of the {} KV heads",
                     config.n_heads, config.n_kv_heads);
  }
  if (config.planted && config.arch != "transformer")
    return bad_input("--planted: only with --arch transformer");
  if (config.qk_norm && config.arch != "transformer")
    return bad_input("--qk-norm: only with --arch transformer");
  return {};
}

void settle(ModelConfig& config) {
  if (config.arch == "transformer") return;
  config.planted = config.qk_norm = false;
  config.rope_inclusive = config.arch == "retnet" || is_yoco(config);
  if (!is_yoco(config)) return;
  if (config.n_shared == 0) config.n_shared = (config.n_layers + 1) / 2;
  if (config.n_self_heads == 0) config.n_self_heads = config.n_heads;
  if (config.self_head_dim == 0) config.self_head_dim = config.d_model / config.n_self_heads;
}

int64_t rotated_dim(const ModelConfig& config, int64_t layer) {
  const MixerKind kind = mixer_of(config, layer);
  const bool self = kind == MixerKind::kGatedRetention || kind == MixerKind::kWindow;
  return self ? config.self_head_dim : config.head_dim;
}

void shape_mixer(const ModelConfig& config, int64_t layer, LayerWeights& w) {
  const int64_t d_model = config.d_model;
  const auto shape = [](std::initializer_list<int64_t> sizes) {
    return at::empty(sizes, at::kMeta);
  };
  const MixerKind kind = mixer_of(config, layer);
  const int64_t key_dim = rotated_dim(config, layer);
  int64_t n_heads = config.n_heads, n_kv_heads = config.n_kv_heads, value_dim = key_dim;
  switch (kind) {
    case MixerKind::kGatedRetention:
    case MixerKind::kWindow:
      n_heads = n_kv_heads = config.n_self_heads;
      break;
    case MixerKind::kRetention:
      n_kv_heads = n_heads;
      if (config.value_dim > 0) value_dim = config.value_dim;
      break;
    default:
      break;
  }
  const bool two_parts = kind == MixerKind::kTwoParts;
  const int64_t n_parts = two_parts ? 2 : 1;
  if (two_parts) value_dim *= 2;
  w.wq = shape({n_parts * n_heads * key_dim, d_model});
  if (kind != MixerKind::kShared || layer == first_shared(config)) {
    w.wk = shape({n_parts * n_kv_heads * key_dim, d_model});
    w.wv = shape({n_kv_heads * value_dim, d_model});
    if (kind == MixerKind::kShared) w.kv_norm = shape({d_model});
  }
  const int64_t n_joined = kind == MixerKind::kSameKeys ? n_heads / 2 : n_heads;
  w.wo = shape({d_model, n_joined * value_dim});
  if (kind == MixerKind::kRetention || kind == MixerKind::kGatedRetention)
    w.wg = shape({n_heads * value_dim, d_model});
  if (kind == MixerKind::kGatedRetention) w.w_decay = shape({n_heads, d_model});
  if (kind == MixerKind::kSameKeys) w.w_lambda = shape({n_joined, d_model});
  if (two_parts) {
    w.sub_norm = shape({value_dim});
    if (config.lambdas.empty()) {
      for (Tensor* each : {&w.lambda_q1, &w.lambda_k1, &w.lambda_q2, &w.lambda_k2})
        *each = shape({key_dim});
    }
  }
  if (kind != MixerKind::kAttention) return;
  if (config.qkv_bias) {
    w.bq = shape({n_heads * key_dim});
    w.bk = shape({n_kv_heads * key_dim});
    w.bv = shape({n_kv_heads * key_dim});
  }
  if (config.qk_norm) {
    w.q_norm = shape({key_dim});
    w.k_norm = shape({key_dim});
  }
}

double lambda_init(int64_t layer) {
  return 0.8 - 0.6 * std::exp(-0.3 * static_cast<double>(layer));
}

Tensor lambda_of(const ModelConfig& config, int64_t layer, const LayerWeights& w) {
  if (!config.lambdas.empty()) return at::full({}, config.lambdas[size_t(layer)]);
  return (w.lambda_q1 * w.lambda_k1).sum().exp() - (w.lambda_q2 * w.lambda_k2).sum().exp() +
         lambda_init(layer);
}

double sub_norm_factor(const ModelConfig& config, int64_t layer) {
  return config.lambdas.empty() ? 1 - lambda_init(layer) : 1;
}

Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps) {
  return x * at::rsqrt(x.square().mean(-1, true) + eps) * weight;
}

Mixers::Mixers(const ModelConfig& config, int64_t length, const torch::TensorOptions& options,
               const Attention& attention, const Observer& before_rope)
    : config_(config), length_(length), attention_(attention), before_rope_(before_rope) {
  const Tensor positions = at::arange(length, options.device());
  const auto tables = [&](int64_t dim) {
    return rope_tables(rope_frequencies(config.rope_theta, dim, config.rope_inclusive), positions,
                       options);
  };
  rope_ = config.rope_frequencies.empty()
              ? tables(config.head_dim)
              : rope_tables(config.rope_frequencies, positions, options, config.rope_magnitude);
  self_rope_ = config.self_head_dim > 0 ? tables(config.self_head_dim) : rope_;
}

Tensor Mixers::run(int64_t i, const LayerWeights& w, const Tensor& x) {
  const Tensor a = rms_norm(x, w.attn_norm, config_.norm_eps);
  switch (mixer_of(config_, i)) {
    case MixerKind::kAttention:
      return attend(i, w, a);
    case MixerKind::kRetention:
      return retain(i, w, a, false);
    case MixerKind::kGatedRetention:
      return retain(i, w, a, true);
    case MixerKind::kWindow:
      return attend_window(i, w, a);
    case MixerKind::kShared:
      return attend_shared(i, w, a, x);
    case MixerKind::kTwoParts:
      return subtract_parts(i, w, a);
    case MixerKind::kSameKeys:
      return subtract_heads(i, w, a);
    case MixerKind::kDecayed:
      return attend_decayed(i, w, a);
  }
  return {};
}

Tensor Mixers::turn(int64_t i, const Tensor& x) const {
  const MixerKind kind = mixer_of(config_, i);
  const bool self = kind == MixerKind::kGatedRetention || kind == MixerKind::kWindow;
  return rotate(x, self ? self_rope_ : rope_);
}

// q, k and v of `a` by heads as wide as the layer's, q and k turned.
Mixers::Heads Mixers::project(int64_t i, const LayerWeights& w, const Tensor& a) {
  const int64_t dim = rotated_dim(config_, i);
  const int64_t n_kv_heads = w.wk.size(0) / dim;
  const Tensor v = at::linear(a, w.wv);
  return {
      turn(i, split_heads(at::linear(a, w.wq), w.wq.size(0) / dim)),
      turn(i, split_heads(at::linear(a, w.wk), n_kv_heads)),
      split_heads(v, mixer_of(config_, i) == MixerKind::kTwoParts ? n_kv_heads / 2 : n_kv_heads)};
}

Tensor Mixers::attend(int64_t i, const LayerWeights& w, const Tensor& a) {
  Tensor q = split_heads(at::linear(a, w.wq, w.bq), config_.n_heads);
  Tensor k = split_heads(at::linear(a, w.wk, w.bk), config_.n_kv_heads);
  const Tensor v = split_heads(at::linear(a, w.wv, w.bv), config_.n_kv_heads);
  if (config_.qk_norm) {
    q = rms_norm(q, w.q_norm, config_.norm_eps);
    k = rms_norm(k, w.k_norm, config_.norm_eps);
  }
  if (before_rope_) before_rope_(i, q, k);
  return at::linear(join_heads(attention_(i, turn(i, q), turn(i, k), v)), w.wo);
}

// Logarithms, [n_rows or 1, heads, length].
Tensor Mixers::log_decays(const LayerWeights& w, const Tensor& a, bool gated) const {
  if (gated) return at::log_sigmoid(at::linear(a, w.w_decay)).transpose(1, 2) / kTemperature;
  std::vector<double> decays = config_.decays;
  for (int64_t head = 0; decays.size() < size_t(config_.n_heads); ++head)
    decays.push_back(1 - std::exp2(-5.0 - static_cast<double>(head)));
  return at::tensor(at::ArrayRef<double>(decays), a.options())
      .log()
      .view({1, -1, 1})
      .expand({1, config_.n_heads, length_});
}

// The parallel form (kernels/reference/retention.h): scores times the decay between the two
// tokens, by differences of sums of logarithms.
Tensor Mixers::retain(int64_t i, const LayerWeights& w, const Tensor& a, bool gated) {
  const int64_t n_heads = gated ? config_.n_self_heads : config_.n_heads;
  const Tensor q = turn(i, split_heads(at::linear(a, w.wq), n_heads));
  const Tensor k = turn(i, split_heads(at::linear(a, w.wk), n_heads)) /
                   std::sqrt(static_cast<double>(rotated_dim(config_, i)));
  const Tensor v = split_heads(at::linear(a, w.wv), n_heads);
  const Tensor total = log_decays(w, a, gated).cumsum(-1);
  const Tensor hidden = seen(length_, 0, a.options()).logical_not();
  const Tensor decay =
      (total.unsqueeze(-1) - total.unsqueeze(-2)).masked_fill(hidden, -INFINITY).exp();
  const Tensor o = at::matmul(at::matmul(q, k.transpose(-1, -2)) * decay, v);
  const Tensor normed = rms_norm(o, at::ones({}, a.options()), config_.norm_eps);
  return at::linear(at::silu(at::linear(a, w.wg)) * join_heads(normed), w.wo);
}

Tensor Mixers::attend_window(int64_t i, const LayerWeights& w, const Tensor& a) {
  const Heads heads = project(i, w, a);
  const Tensor mask = seen(length_, config_.window, a.options());
  return at::linear(join_heads(at::scaled_dot_product_attention(heads.q, heads.k, heads.v, mask)),
                    w.wo);
}

Tensor Mixers::attend_shared(int64_t i, const LayerWeights& w, const Tensor& a, const Tensor& x) {
  if (w.wk.defined()) {
    const Tensor z = rms_norm(x, w.kv_norm, config_.norm_eps);
    shared_k_ = turn(i, split_heads(at::linear(z, w.wk), config_.n_kv_heads));
    shared_v_ = split_heads(at::linear(z, w.wv), config_.n_kv_heads);
  }
  const Tensor q = turn(i, split_heads(at::linear(a, w.wq), config_.n_heads));
  return at::linear(join_heads(attention_(i, q, shared_k_, shared_v_)), w.wo);
}

// xPos (arXiv 2212.10554): query and key of pair j are scaled by zeta_j^(+-(position - c) / 512), c
// the middle of the text; zeta_j = (2 j + 0.4 dim) / (1.4 dim).
Tensor Mixers::attend_decayed(int64_t i, const LayerWeights& w, const Tensor& a) {
  const Heads heads = project(i, w, a);
  const auto dim = static_cast<double>(config_.head_dim);
  const Tensor pairs = at::arange(config_.head_dim / 2, a.options());
  const Tensor log_zeta = ((2 * pairs + 0.4 * dim) / (1.4 * dim)).log().repeat({2});  // halves
  const Tensor distance =
      (at::arange(length_, a.options()) - static_cast<double>(length_ / 2)) / kScaleBase;
  const Tensor decay = at::outer(distance, log_zeta).exp();  // [length, dim]
  const Tensor q = heads.q * decay, k = heads.k / decay;
  if (config_.block == 0) return at::linear(join_heads(dense_attention(q, k, heads.v)), w.wo);
  const Tensor block =
      at::arange(length_, a.options().dtype(at::kLong)).floor_divide(config_.block);
  const Tensor near = block.unsqueeze(0).ge(block.unsqueeze(1) - 1);
  const Tensor mask = seen(length_, 0, a.options()).logical_and(near);
  const int64_t group = config_.n_heads / config_.n_kv_heads;
  const auto spread = [&](const Tensor& x) { return x.repeat_interleave(group, 1); };
  return at::linear(
      join_heads(at::scaled_dot_product_attention(q, spread(k), spread(heads.v), mask)), w.wo);
}

Tensor Mixers::subtract_parts(int64_t i, const LayerWeights& w, const Tensor& a) {
  const Heads heads = project(i, w, a);
  const auto part = [](const Tensor& x, int64_t which) {
    return x.unflatten(1, {-1, 2}).select(2, which);
  };
  const Tensor first = dense_attention(part(heads.q, 0), part(heads.k, 0), heads.v);
  const Tensor second = dense_attention(part(heads.q, 1), part(heads.k, 1), heads.v);
  const Tensor difference = first - lambda_of(config_, i, w) * second;
  const Tensor normed = rms_norm(difference, w.sub_norm, config_.norm_eps);
  return at::linear(join_heads(normed) * sub_norm_factor(config_, i), w.wo);
}

Tensor Mixers::subtract_heads(int64_t i, const LayerWeights& w, const Tensor& a) {
  const Heads heads = project(i, w, a);
  const Tensor pairs =
      attention_(i, heads.q, heads.k, heads.v).unflatten(1, {config_.n_heads / 2, 2});
  const Tensor factor = at::sigmoid(at::linear(a, w.w_lambda)).transpose(1, 2).unsqueeze(-1);
  return at::linear(join_heads(pairs.select(2, 0) - factor * pairs.select(2, 1)), w.wo);
}

}  // namespace longhaul::trainer
