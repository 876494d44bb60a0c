#include "trainer/import.h"

#include <ATen/ATen.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <set>

#include "io/gguf.h"
#include "model/tensors.h"
#include "quant/registry.h"
#include "trainer/rope.h"

namespace longhaul::trainer {
namespace {

using torch::Tensor;

// The values of tensor `name`, which must have `shape` (rows first).
Result<Tensor> read_tensor(const GgufFile& file, const std::string& name,
                           at::IntArrayRef expected) {
  const GgufTensor* tensor = file.find_tensor(name);
  if (tensor == nullptr) return bad_input("{}: tensor {} is missing", file.path(), name);
  const std::vector<int64_t> shape(tensor->shape.rbegin(), tensor->shape.rend());
  if (expected != at::IntArrayRef(shape)) {
    return bad_input("{}: tensor {}: expected {} rows and columns, found {}", file.path(), name,
                     fmt::join(expected, " x "), fmt::join(shape, " x "));
  }
  const QuantTraits* quant = find_quant(tensor->type());
  if (quant == nullptr) {
    return unsupported("{}: tensor {}: no codec for type {}", file.path(), name, tensor->type_id);
  }
  Tensor values = at::empty(shape);
  quant->dequantize(tensor->data.data(), values.mutable_data_ptr<float>(),
                    static_cast<size_t>(values.numel()));
  return values;
}

// The attention that all layers have; an Error where a layer is more than the trainer computes.
Result<AttentionSpec> plain_attention(const std::string& path, const ModelPlan& plan) {
  const auto refuse = [&](const char* what) {
    return unsupported("{}: {}: the trainer has plain transformers alone", path, what);
  };
  if (plan.embedding_scale != 1.0F) return refuse("its embeddings are scaled");
  for (const LayerSpec& layer : plan.layers) {
    const auto* gated = std::get_if<GatedSpec>(&layer.ffn);
    if (gated == nullptr) return refuse("it has experts");
    if (layer.post_norms || gated->activation != Activation::kSilu)
      return refuse("it has norms or activations of another kind");
    if (!std::holds_alternative<AttentionSpec>(layer.mixer)) return refuse("it has retention");
    const auto& attention = std::get<AttentionSpec>(layer.mixer);
    if (attention.pairs != HeadPairs::kNone || !attention.writes || attention.window != 0 || attention.qk_norm == QkNorm::kAll || !attention.rope)
      return refuse("it has attention of another kind");
  }
  return *main_attention(plan);
}

// The trainer's fields of a plan the engine read; RoPE's frequencies with all scaling applied.
Result<ModelConfig> convert_plan(const GgufFile& file, const ModelPlan& plan) {
  LH_ASSIGN_OR_RETURN(const AttentionSpec attention, plain_attention(file.path(), plan));
  const RopeConfig& rope = plan.ropes[*attention.rope];
  ModelConfig config;
  config.n_layers = static_cast<int64_t>(plan.layers.size());
  config.d_model = static_cast<int64_t>(plan.d_model);
  config.n_heads = static_cast<int64_t>(attention.n_heads);
  config.n_kv_heads = static_cast<int64_t>(attention.n_kv_heads);
  config.head_dim = static_cast<int64_t>(attention.key_dim);
  config.d_ff = static_cast<int64_t>(main_d_ff(plan));
  config.vocab_size = static_cast<int64_t>(plan.vocab_size);
  config.rope_theta = rope.theta;
  config.norm_eps = static_cast<double>(plan.norm_eps);
  config.qk_norm = attention.qk_norm == QkNorm::kHead;
  config.qkv_bias = attention.bias;
  config.planted = false;
  std::vector<float> factors;
  if (rope.has_factors) {
    LH_ASSIGN_OR_RETURN(const Tensor values, read_tensor(file, "rope_freqs.weight",
                                                         {static_cast<int64_t>(rope.dim / 2)}));
    factors.assign(values.const_data_ptr<float>(), values.const_data_ptr<float>() + values.numel());
  }
  const bool plain = rope.scaling == RopeScaling::kNone && !rope.has_factors &&
                     rope.dim == attention.key_dim && rope.attn_factor == 1;
  if (plain) return config;
  const RopeTable table(rope, factors);
  config.rope_frequencies.assign(table.frequencies().begin(), table.frequencies().end());
  config.rope_magnitude = table.magnitude();
  return config;
}

// Puts the rows of q or k, or their bias, from interleaved order into halves, head by head.
Tensor into_halves(const Tensor& values, const RopeConfig& rope, int64_t head_dim) {
  const Tensor place = interleaved_place(head_dim, static_cast<int64_t>(rope.dim));
  return values.unflatten(0, {-1, head_dim}).index_select(1, place).flatten(0, 1);
}

bool is_rotated(const std::string& name) {
  return name.find(".attn_q.") != std::string::npos || name.find(".attn_k.") != std::string::npos;
}

// What is not read would be left out of the computation.
Status refuse_leftovers(const GgufFile& file, const ModelPlan& plan) {
  std::set<std::string> used;
  for (const TensorSpec& spec : tensors(plan)) used.insert(spec.name);
  for (const GgufTensor& tensor : file.tensors()) {
    if (used.contains(tensor.name)) continue;
    return unsupported("{}: tensor {} is not part of this architecture", file.path(), tensor.name);
  }
  return {};
}

}  // namespace

Result<Checkpoint> import_gguf(const std::string& path) {
  LH_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(path));
  LH_ASSIGN_OR_RETURN(const ModelPlan plan, read_plan(file));
  Checkpoint checkpoint;
  LH_ASSIGN_OR_RETURN(checkpoint.config, convert_plan(file, plan));
  const ModelConfig& config = checkpoint.config;
  const RopeConfig& rope = plan.ropes[0];
  checkpoint.weights = shaped_weights(config);
  if (file.find_tensor("output.weight") != nullptr) {
    checkpoint.weights.output = at::empty({config.vocab_size, config.d_model}, at::kMeta);
  }
  LH_RETURN_IF_ERROR(refuse_leftovers(file, plan));
  Status status;
  checkpoint.weights.for_each([&](const std::string& name, Tensor& weight) {
    if (!status) return;
    auto values = read_tensor(file, name, weight.sizes());
    if (!values) {
      status = tl::unexpected<Error>(std::move(values.error()));
      return;
    }
    const bool turn = is_rotated(name) && rope.layout == RopeLayout::kInterleaved;
    weight = turn ? into_halves(*values, rope, config.head_dim) : *values;
    weight.set_requires_grad(true);
  });
  LH_RETURN_IF_ERROR(status);
  return checkpoint;
}

Status check_writable(const Checkpoint& model, const std::string& path) {
  const auto refuse = [&](const char* what) {
    return unsupported(
        "{}: {}: the trainer writes neither biases nor an output matrix nor scaled "
        "or partial RoPE",
        path, what);
  };
  if (model.config.qkv_bias) return refuse("q, k and v have biases");
  if (model.weights.output.defined()) return refuse("it has an output.weight");
  if (!model.config.rope_frequencies.empty()) return refuse("its RoPE is scaled or partial");
  return {};
}

Result<Checkpoint> load_model(const std::string& path) {
  return std::filesystem::is_directory(path) ? load_checkpoint(path) : import_gguf(path);
}

}  // namespace longhaul::trainer
