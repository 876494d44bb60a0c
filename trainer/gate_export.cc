#include "trainer/gate_export.h"

#include <ATen/ATen.h>

#include "attention/gate/load.h"
#include "model/state_slots.h"
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
Tensor in_file_order(const Tensor& w, const ModelPlan& model) {
  const AttentionSpec& attention = *main_attention(model);
  if (!attention.rope) return w;
  const RopeConfig& rope = model.ropes[*attention.rope];
  if (rope.layout == RopeLayout::kHalf) return w;
  const auto head_dim = static_cast<int64_t>(attention.key_dim);
  const Tensor source = interleaved_place(head_dim, static_cast<int64_t>(rope.dim)).argsort();
  return w.detach()
      .to(at::kCPU)
      .unflatten(-1, {-1, head_dim})
      .index_select(-1, source)
      .flatten(-2, -1);
}

}  // namespace

Result<GateModel> GateModel::open(const std::string& path) {
  LH_ASSIGN_OR_RETURN(GgufFile file, GgufFile::open(path));
  LH_ASSIGN_OR_RETURN(ModelPlan plan, read_plan(file));
  LH_ASSIGN_OR_RETURN(GateBase base, gate_base(selector_setup(plan, 0, &file)));
  return GateModel{std::move(file), std::move(plan), std::move(base)};
}

GateConfig gate_config(const ModelPlan& model) {
  const AttentionSpec& attention = *main_attention(model);
  GateConfig config;
  config.n_layers = static_cast<int64_t>(selector_setup(model, 0).n_layers);
  config.n_heads = static_cast<int64_t>(attention.n_heads);
  config.n_kv_heads = static_cast<int64_t>(attention.n_kv_heads);
  config.head_dim = static_cast<int64_t>(attention.key_dim);
  if (attention.rope) config.rope_theta = model.ropes[*attention.rope].theta;
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
  weights.sink_blocks = static_cast<size_t>(config.sink_blocks);
  weights.dim = static_cast<size_t>(config.key_length);
  weights.rope = config.rope;
  weights.qk_norm = config.qk_norm;
  weights.norm_eps = static_cast<float>(kGateNormEps);
  for (const GateLayer& gate : gates) {
    weights.layers.push_back({.wq = values_of(in_file_order(gate.wq, model.plan)),
                              .wk = values_of(in_file_order(gate.wk, model.plan)),
                              .q_norm = values_of(gate.q_norm),
                              .k_norm = values_of(gate.k_norm)});
  }
  return weights;
}

}  // namespace longhaul::trainer
