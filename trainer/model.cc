#include "trainer/model.h"

#include <ATen/ATen.h>

#include <cmath>

namespace longhaul::trainer {
namespace {

using torch::Tensor;

Tensor leaf(Tensor values) { return values.set_requires_grad(true); }

Tensor random_matrix(int64_t rows, int64_t columns, double scale) {
  return leaf(at::randn({rows, columns}) * (scale / std::sqrt(static_cast<double>(columns))));
}

Tensor filled(int64_t size, double value) { return leaf(at::full({size}, value)); }

Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps) {
  return x * at::rsqrt(x.square().mean(-1, true) + eps) * weight;
}

// cos and sin of every position and frequency, [length, head_dim / 2] each.
std::pair<Tensor, Tensor> rope_tables(const ModelConfig& config, int64_t length) {
  const Tensor exponent = at::arange(0, config.head_dim, 2, at::kDouble) / config.head_dim;
  const Tensor frequency = at::pow(at::scalar_tensor(config.rope_theta, at::kDouble), -exponent);
  const Tensor angle = at::outer(at::arange(length, at::kDouble), frequency);
  return {angle.cos().to(at::kFloat), angle.sin().to(at::kFloat)};
}

// Rotates pair (j, j + head_dim / 2) of every head by its position's angle.
Tensor rotate(const Tensor& x, const std::pair<Tensor, Tensor>& tables) {
  const auto halves = x.chunk(2, -1);
  return at::cat({halves[0] * tables.first - halves[1] * tables.second,
                  halves[1] * tables.first + halves[0] * tables.second},
                 -1);
}

}  // namespace

ModelWeights init_weights(const ModelConfig& config) {
  const int64_t q_rows = config.n_heads * config.head_dim;
  const int64_t kv_rows = config.n_kv_heads * config.head_dim;
  // Branches that add to the residual stream start at nothing, so that names are seen clearly.
  const double out = 0;
  ModelWeights weights;
  weights.embedding = leaf(at::randn({config.vocab_size, config.d_model}));
  for (int64_t i = 0; i < config.n_layers; ++i) {
    LayerWeights layer;
    layer.attn_norm = filled(config.d_model, 1);
    layer.wq = random_matrix(q_rows, config.d_model, 1);
    layer.wk = random_matrix(kv_rows, config.d_model, 1);
    layer.wv = random_matrix(kv_rows, config.d_model, 1);
    layer.wo = random_matrix(config.d_model, q_rows, out);
    if (config.qk_norm) {
      layer.q_norm = filled(config.head_dim, config.qk_scale);
      layer.k_norm = filled(config.head_dim, config.qk_scale);
    }
    layer.ffn_norm = filled(config.d_model, 1);
    layer.w_gate = random_matrix(config.d_ff, config.d_model, 1);
    layer.w_up = random_matrix(config.d_ff, config.d_model, 1);
    layer.w_down = random_matrix(config.d_model, config.d_ff, out);
    weights.layers.push_back(std::move(layer));
  }
  // The embedding is also the output matrix: this keeps the first logits near one.
  weights.norm = filled(config.d_model, 1 / std::sqrt(static_cast<double>(config.d_model)));
  return weights;
}

std::vector<std::pair<std::string, Tensor>> ModelWeights::named() const {
  std::vector<std::pair<std::string, Tensor>> result{{"token_embd.weight", embedding}};
  for (size_t i = 0; i < layers.size(); ++i) {
    const LayerWeights& layer = layers[i];
    const auto add = [&](const char* name, const Tensor& tensor) {
      if (tensor.defined()) result.emplace_back("blk." + std::to_string(i) + "." + name, tensor);
    };
    add("attn_norm.weight", layer.attn_norm);
    add("attn_q.weight", layer.wq);
    add("attn_k.weight", layer.wk);
    add("attn_v.weight", layer.wv);
    add("attn_output.weight", layer.wo);
    add("attn_q_norm.weight", layer.q_norm);
    add("attn_k_norm.weight", layer.k_norm);
    add("ffn_norm.weight", layer.ffn_norm);
    add("ffn_gate.weight", layer.w_gate);
    add("ffn_up.weight", layer.w_up);
    add("ffn_down.weight", layer.w_down);
  }
  result.emplace_back("output_norm.weight", norm);
  return result;
}

Tensor dense_attention(const Tensor& q, const Tensor& k, const Tensor& v) {
  const int64_t group = q.size(1) / k.size(1);
  const auto spread = [&](const Tensor& x) {
    return group == 1 ? x : x.repeat_interleave(group, 1);
  };
  return at::scaled_dot_product_attention(q, spread(k), spread(v), {}, 0.0, true);
}

Tensor forward(const ModelConfig& config, const ModelWeights& weights, const Tensor& ids,
               const Attention& attention) {
  const int64_t n_rows = ids.size(0);
  const int64_t length = ids.size(1);
  const auto tables = rope_tables(config, length);
  const auto heads = [&](const Tensor& x, int64_t n) {
    return x.view({n_rows, length, n, config.head_dim}).transpose(1, 2);
  };
  Tensor x = at::embedding(weights.embedding, ids);
  for (int64_t i = 0; i < config.n_layers; ++i) {
    const LayerWeights& layer = weights.layers[size_t(i)];
    const Tensor a = rms_norm(x, layer.attn_norm, config.norm_eps);
    Tensor q = heads(at::linear(a, layer.wq), config.n_heads);
    Tensor k = heads(at::linear(a, layer.wk), config.n_kv_heads);
    const Tensor v = heads(at::linear(a, layer.wv), config.n_kv_heads);
    if (config.qk_norm) {
      q = rms_norm(q, layer.q_norm, config.norm_eps);
      k = rms_norm(k, layer.k_norm, config.norm_eps);
    }
    const Tensor o = attention(i, rotate(q, tables), rotate(k, tables), v);
    x = x + at::linear(o.transpose(1, 2).reshape({n_rows, length, -1}), layer.wo);
    const Tensor f = rms_norm(x, layer.ffn_norm, config.norm_eps);
    x = x +
        at::linear(at::silu(at::linear(f, layer.w_gate)) * at::linear(f, layer.w_up), layer.w_down);
  }
  return rms_norm(x, weights.norm, config.norm_eps);
}

}  // namespace longhaul::trainer
