#include "trainer/gate_export.h"

#include <ATen/ATen.h>

#include "trainer/rope.h"

namespace longhaul::trainer {
namespace {

using torch::Tensor;

std::vector<float> values_of(const Tensor& tensor) {
  if (!tensor.defined()) return {};
  const Tensor flat = tensor.detach().to(at::kCPU, at::kFloat).contiguous();
  return {flat.const_data_ptr<float>(), flat.const_data_ptr<float>() + flat.numel()};
}

// Permutes the inputs of wq or wk, head by head, as the file's rows of q and k are.
Tensor in_file_order(const Tensor& w, const longhaul::ModelConfig& model) {
  if (model.rope.layout == RopeLayout::kHalf) return w;
  const auto head_dim = static_cast<int64_t>(model.head_dim);
  const Tensor source = interleaved_place(head_dim, static_cast<int64_t>(model.rope.dim)).argsort();
  return w.detach()
      .to(at::kCPU)
      .unflatten(-1, {-1, head_dim})
      .index_select(-1, source)
      .flatten(-2, -1);
}

}  // namespace

Result<GateModel> GateModel::open(const std::string& path) {
  LH_ASSIGN_OR_RETURN(GgufFile file, GgufFile::open(path));
  LH_ASSIGN_OR_RETURN(longhaul::ModelConfig config, read_model_config(file));
  LH_ASSIGN_OR_RETURN(std::string fingerprint, model_fingerprint(file));
  GateBase base{.architecture = config.architecture,
                .name = config.name,
                .fingerprint = std::move(fingerprint),
                .n_layers = config.n_layers,
                .n_heads = config.n_heads,
                .n_kv_heads = config.n_kv_heads,
                .head_dim = config.head_dim};
  return GateModel{std::move(file), std::move(config), std::move(base)};
}

GateConfig gate_config(const longhaul::ModelConfig& model) {
  GateConfig config;
  config.n_layers = static_cast<int64_t>(model.n_layers);
  config.n_heads = static_cast<int64_t>(model.n_heads);
  config.n_kv_heads = static_cast<int64_t>(model.n_kv_heads);
  config.head_dim = static_cast<int64_t>(model.head_dim);
  config.rope_theta = model.rope.theta;
  return config;
}

Result<TensorType> gate_type(const std::string& name) {
  if (name == "F16") return TensorType::kF16;
  if (name == "F32") return TensorType::kF32;
  return bad_input("--type {}: expected F16 or F32", name);
}

GateWeights to_gate_weights(const GateConfig& config, const Gates& gates, const GateModel& model,
                            const std::string& source) {
  GateWeights weights;
  weights.base = model.base;
  weights.source = source;
  weights.block_size = static_cast<size_t>(config.block_size);
  weights.dim = static_cast<size_t>(config.key_length);
  weights.rope = config.rope;
  weights.qk_norm = config.qk_norm;
  weights.norm_eps = static_cast<float>(kGateNormEps);
  for (const GateLayer& gate : gates) {
    weights.layers.push_back({.wq = values_of(in_file_order(gate.wq, model.config)),
                              .wk = values_of(in_file_order(gate.wk, model.config)),
                              .q_norm = values_of(gate.q_norm),
                              .k_norm = values_of(gate.k_norm)});
  }
  return weights;
}

}  // namespace longhaul::trainer
