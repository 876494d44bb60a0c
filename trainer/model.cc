#include "trainer/model.h"

#include <ATen/ATen.h>

#include <cmath>

#include "trainer/rope.h"

namespace longhaul::trainer {
namespace {

using torch::Tensor;

Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps) {
  return x * at::rsqrt(x.square().mean(-1, true) + eps) * weight;
}

// The frequencies a head turns with.
std::vector<double> head_frequencies(const ModelConfig& config) {
  return config.rope_frequencies.empty() ? rope_frequencies(config.rope_theta, config.head_dim)
                                         : config.rope_frequencies;
}

// The first value of a vector of that name.
double first_value(const std::string& name, const ModelConfig& config) {
  if (name.ends_with(".bias")) return 0;
  if (name.ends_with("_q_norm.weight") || name.ends_with("_k_norm.weight")) return config.qk_scale;
  // The embedding is also the output matrix: this keeps the first logits near one.
  if (name == "output_norm.weight") return 1 / std::sqrt(static_cast<double>(config.d_model));
  return 1;
}

}  // namespace

ModelWeights shaped_weights(const ModelConfig& config) {
  const auto shape = [](std::initializer_list<int64_t> sizes) {
    return at::empty(sizes, at::kMeta);
  };
  const int64_t d_model = config.d_model;
  const int64_t q_rows = config.n_heads * config.head_dim;
  const int64_t kv_rows = config.n_kv_heads * config.head_dim;
  ModelWeights weights;
  weights.embedding = shape({config.vocab_size, d_model});
  for (int64_t i = 0; i < config.n_layers; ++i) {
    LayerWeights layer;
    layer.attn_norm = shape({d_model});
    layer.wq = shape({q_rows, d_model});
    layer.wk = shape({kv_rows, d_model});
    layer.wv = shape({kv_rows, d_model});
    layer.wo = shape({d_model, q_rows});
    if (config.qkv_bias) {
      layer.bq = shape({q_rows});
      layer.bk = shape({kv_rows});
      layer.bv = shape({kv_rows});
    }
    if (config.qk_norm) {
      layer.q_norm = shape({config.head_dim});
      layer.k_norm = shape({config.head_dim});
    }
    layer.ffn_norm = shape({d_model});
    layer.w_gate = shape({config.d_ff, d_model});
    layer.w_up = shape({config.d_ff, d_model});
    layer.w_down = shape({d_model, config.d_ff});
    weights.layers.push_back(std::move(layer));
  }
  weights.norm = shape({d_model});
  return weights;
}

ModelWeights init_weights(const ModelConfig& config) {
  ModelWeights weights = shaped_weights(config);
  weights.for_each([&](const std::string& name, Tensor& weight) {
    if (weight.dim() == 1) {
      weight = at::full(weight.sizes(), first_value(name, config));
    } else {
      // Branches that add to the residual stream start at nothing, so that names are seen clearly.
      const bool branch = name.ends_with("attn_output.weight") || name.ends_with("ffn_down.weight");
      const double size = name == "token_embd.weight" ? 1 : static_cast<double>(weight.size(1));
      weight = at::randn(weight.sizes()) * (branch ? 0 : 1 / std::sqrt(size));
    }
    weight.set_requires_grad(true);
  });
  return weights;
}

void ModelWeights::for_each(const std::function<void(const std::string&, Tensor&)>& visit) {
  visit("token_embd.weight", embedding);
  for (size_t i = 0; i < layers.size(); ++i) {
    LayerWeights& layer = layers[i];
    const auto visit_layer = [&](const char* name, Tensor& tensor) {
      if (tensor.defined()) visit("blk." + std::to_string(i) + "." + name, tensor);
    };
    visit_layer("attn_norm.weight", layer.attn_norm);
    visit_layer("attn_q.weight", layer.wq);
    visit_layer("attn_k.weight", layer.wk);
    visit_layer("attn_v.weight", layer.wv);
    visit_layer("attn_output.weight", layer.wo);
    visit_layer("attn_q.bias", layer.bq);
    visit_layer("attn_k.bias", layer.bk);
    visit_layer("attn_v.bias", layer.bv);
    visit_layer("attn_q_norm.weight", layer.q_norm);
    visit_layer("attn_k_norm.weight", layer.k_norm);
    visit_layer("ffn_norm.weight", layer.ffn_norm);
    visit_layer("ffn_gate.weight", layer.w_gate);
    visit_layer("ffn_up.weight", layer.w_up);
    visit_layer("ffn_down.weight", layer.w_down);
  }
  visit("output_norm.weight", norm);
  if (output.defined()) visit("output.weight", output);
}

std::vector<std::pair<std::string, Tensor>> ModelWeights::named() const {
  std::vector<std::pair<std::string, Tensor>> result;
  ModelWeights handles = *this;
  handles.for_each(
      [&](const std::string& name, Tensor& tensor) { result.emplace_back(name, tensor); });
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
               const Attention& attention, const Observer& before_rope) {
  const int64_t n_rows = ids.size(0);
  const int64_t length = ids.size(1);
  const RopeTables tables =
      rope_tables(head_frequencies(config), at::arange(length, ids.device()),
                  weights.embedding.options().requires_grad(false), config.rope_magnitude);
  const auto heads = [&](const Tensor& x, int64_t n) {
    return x.view({n_rows, length, n, config.head_dim}).transpose(1, 2);
  };
  Tensor x = at::embedding(weights.embedding, ids);
  for (int64_t i = 0; i < config.n_layers; ++i) {
    const LayerWeights& layer = weights.layers[size_t(i)];
    const Tensor a = rms_norm(x, layer.attn_norm, config.norm_eps);
    Tensor q = heads(at::linear(a, layer.wq, layer.bq), config.n_heads);
    Tensor k = heads(at::linear(a, layer.wk, layer.bk), config.n_kv_heads);
    const Tensor v = heads(at::linear(a, layer.wv, layer.bv), config.n_kv_heads);
    if (config.qk_norm) {
      q = rms_norm(q, layer.q_norm, config.norm_eps);
      k = rms_norm(k, layer.k_norm, config.norm_eps);
    }
    if (before_rope) before_rope(i, q, k);
    const Tensor o = attention(i, rotate(q, tables), rotate(k, tables), v);
    x = x + at::linear(o.transpose(1, 2).reshape({n_rows, length, -1}), layer.wo);
    const Tensor f = rms_norm(x, layer.ffn_norm, config.norm_eps);
    x = x +
        at::linear(at::silu(at::linear(f, layer.w_gate)) * at::linear(f, layer.w_up), layer.w_down);
  }
  return rms_norm(x, weights.norm, config.norm_eps);
}

}  // namespace longhaul::trainer
