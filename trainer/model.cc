#include "trainer/model.h"

#include <ATen/ATen.h>

#include <cmath>

#include "trainer/mixers.h"

namespace longhaul::trainer {
namespace {

using torch::Tensor;

// The first value of a vector of that name.
double first_value(const std::string& name, const ModelConfig& config) {
  if (name.ends_with(".bias")) return 0;
  if (name.ends_with("_q_norm.weight") || name.ends_with("_k_norm.weight")) return config.qk_scale;
  // The embedding is also the output matrix: this keeps the first logits near one.
  if (name.ends_with("_sub_norm.weight")) return 1;
  if (name == "output_norm.weight") return 1 / std::sqrt(static_cast<double>(config.d_model));
  return 1;
}

}  // namespace

ModelWeights shaped_weights(const ModelConfig& config) {
  const auto shape = [](std::initializer_list<int64_t> sizes) {
    return at::empty(sizes, at::kMeta);
  };
  const int64_t d_model = config.d_model;
  ModelWeights weights;
  weights.embedding = shape({config.vocab_size, d_model});
  for (int64_t i = 0; i < config.n_layers; ++i) {
    LayerWeights layer;
    layer.attn_norm = shape({d_model});
    shape_mixer(config, i, layer);
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
    if (name.find(".attn_lambda_") != std::string::npos) {
      weight = at::randn(weight.sizes()) * 0.1;  // as published
    } else if (weight.dim() == 1) {
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
    visit_layer("attn_gate.weight", layer.wg);
    visit_layer("attn_decay.weight", layer.w_decay);
    visit_layer("attn_kv_norm.weight", layer.kv_norm);
    visit_layer("attn_lambda.weight", layer.w_lambda);
    visit_layer("attn_lambda_q1.weight", layer.lambda_q1);
    visit_layer("attn_lambda_k1.weight", layer.lambda_k1);
    visit_layer("attn_lambda_q2.weight", layer.lambda_q2);
    visit_layer("attn_lambda_k2.weight", layer.lambda_k2);
    visit_layer("attn_sub_norm.weight", layer.sub_norm);
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
  Mixers mixers(config, ids.size(1), weights.embedding.options().requires_grad(false), attention,
                before_rope);
  Tensor x = at::embedding(weights.embedding, ids);
  if (config.embedding_scale != 1) x = x * config.embedding_scale;
  for (int64_t i = 0; i < config.n_layers; ++i) {
    const LayerWeights& layer = weights.layers[size_t(i)];
    x = x + mixers.run(i, layer, x);
    const Tensor f = rms_norm(x, layer.ffn_norm, config.norm_eps);
    x = x +
        at::linear(at::silu(at::linear(f, layer.w_gate)) * at::linear(f, layer.w_up), layer.w_down);
  }
  return rms_norm(x, weights.norm, config.norm_eps);
}

}  // namespace longhaul::trainer
