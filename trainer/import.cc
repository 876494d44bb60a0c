#include "trainer/import.h"

#include <ATen/ATen.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <set>

#include "io/gguf.h"
#include "model/config.h"
#include "model/rope.h"
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

// The trainer's fields of a config the engine read; RoPE's frequencies with all scaling applied.
Result<ModelConfig> convert_config(const GgufFile& file, const longhaul::ModelConfig& read) {
  ModelConfig config;
  config.n_layers = static_cast<int64_t>(read.n_layers);
  config.d_model = static_cast<int64_t>(read.d_model);
  config.n_heads = static_cast<int64_t>(read.n_heads);
  config.n_kv_heads = static_cast<int64_t>(read.n_kv_heads);
  config.head_dim = static_cast<int64_t>(read.head_dim);
  config.d_ff = static_cast<int64_t>(read.d_ff);
  config.rope_theta = read.rope.theta;
  config.norm_eps = static_cast<double>(read.norm_eps);
  config.qk_norm = read.qk_norm;
  config.qkv_bias = read.qkv_bias;
  config.planted = false;
  const GgufTensor* embedding = file.find_tensor("token_embd.weight");
  if (embedding != nullptr && embedding->shape.size() == 2) {
    config.vocab_size = static_cast<int64_t>(embedding->shape[1]);
  }
  std::vector<float> factors;
  if (read.rope.has_factors) {
    LH_ASSIGN_OR_RETURN(
        const Tensor values,
        read_tensor(file, "rope_freqs.weight", {static_cast<int64_t>(read.rope.dim / 2)}));
    factors.assign(values.const_data_ptr<float>(), values.const_data_ptr<float>() + values.numel());
  }
  const bool plain = read.rope.scaling == RopeScaling::kNone && !read.rope.has_factors &&
                     read.rope.dim == read.head_dim && read.rope.attn_factor == 1;
  if (plain) return config;
  const RopeTable table(read.rope, factors);
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
Status refuse_leftovers(const GgufFile& file, const ModelWeights& weights) {
  std::set<std::string> used{"rope_freqs.weight"};
  for (const auto& [name, tensor] : weights.named()) used.insert(name);
  for (const GgufTensor& tensor : file.tensors()) {
    if (used.contains(tensor.name)) continue;
    return unsupported("{}: tensor {} is not part of this architecture", file.path(), tensor.name);
  }
  return {};
}

}  // namespace

Result<Checkpoint> import_gguf(const std::string& path) {
  LH_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(path));
  LH_ASSIGN_OR_RETURN(const longhaul::ModelConfig read, read_model_config(file));
  Checkpoint checkpoint;
  LH_ASSIGN_OR_RETURN(checkpoint.config, convert_config(file, read));
  const ModelConfig& config = checkpoint.config;
  checkpoint.weights = shaped_weights(config);
  if (file.find_tensor("output.weight") != nullptr) {
    checkpoint.weights.output = at::empty({config.vocab_size, config.d_model}, at::kMeta);
  }
  LH_RETURN_IF_ERROR(refuse_leftovers(file, checkpoint.weights));
  Status status;
  checkpoint.weights.for_each([&](const std::string& name, Tensor& weight) {
    if (!status) return;
    auto values = read_tensor(file, name, weight.sizes());
    if (!values) {
      status = tl::unexpected<Error>(std::move(values.error()));
      return;
    }
    const bool turn = is_rotated(name) && read.rope.layout == RopeLayout::kInterleaved;
    weight = turn ? into_halves(*values, read.rope, config.head_dim) : *values;
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
