#include "trainer/import.h"

#include <ATen/ATen.h>

#include <filesystem>

#include "io/gguf.h"
#include "quant/registry.h"

namespace longhaul::trainer {
namespace {

using torch::Tensor;

// The fields of ModelConfig from the keys of the architecture; the vocabulary's size from the
// embedding.
Result<ModelConfig> read_config(const GgufFile& file) {
  LH_ASSIGN_OR_RETURN(const std::string_view name, file.get_string("general.architecture"));
  if (name != "qwen3" && name != "llama") {
    return make_error(ErrorCode::kUnsupported,
                      "{}: general.architecture: expected qwen3 or llama, found {}", file.path(),
                      name);
  }
  const std::string arch = std::string(name) + ".";
  if (file.has(arch + "rope.scaling.type") || file.has(arch + "rope.scaling.factor")) {
    return make_error(ErrorCode::kUnsupported,
                      "{}: {}rope.scaling: expected none, the trainer does not scale", file.path(),
                      arch);
  }
  if (file.find_tensor("output.weight") != nullptr) {
    return make_error(ErrorCode::kUnsupported,
                      "{}: output.weight: expected none, the trainer ties it to the embedding",
                      file.path());
  }
  ModelConfig config;
  config.planted = false;
  config.qk_norm = name == "qwen3";
  const auto read = [&](const char* key, int64_t& field) -> Status {
    LH_ASSIGN_OR_RETURN(field, file.get_i64(arch + key));
    if (field > 0 && field <= 1 << 24) return {};
    return bad_input("{}: {}{}: expected 1 to {}, found {}", file.path(), arch, key, 1 << 24,
                     field);
  };
  LH_RETURN_IF_ERROR(read("block_count", config.n_layers));
  LH_RETURN_IF_ERROR(read("embedding_length", config.d_model));
  LH_RETURN_IF_ERROR(read("feed_forward_length", config.d_ff));
  LH_RETURN_IF_ERROR(read("attention.head_count", config.n_heads));
  LH_RETURN_IF_ERROR(read("attention.head_count_kv", config.n_kv_heads));
  LH_ASSIGN_OR_RETURN(config.head_dim, file.get_i64_or(arch + "attention.key_length",
                                                       config.d_model / config.n_heads));
  LH_ASSIGN_OR_RETURN(config.rope_theta, file.get_f64_or(arch + "rope.freq_base", 10000));
  LH_ASSIGN_OR_RETURN(config.norm_eps, file.get_f64(arch + "attention.layer_norm_rms_epsilon"));
  const GgufTensor* embedding = file.find_tensor("token_embd.weight");
  if (embedding != nullptr && embedding->shape.size() == 2) {
    config.vocab_size = static_cast<int64_t>(embedding->shape[1]);
  }
  return config;
}

// Rows 2j and 2j + 1 of every head become rows j of its first and of its second half.
Tensor split_pairs(const Tensor& matrix, int64_t head_dim) {
  return matrix.view({-1, head_dim / 2, 2, matrix.size(1)}).transpose(1, 2).reshape_as(matrix);
}

// The values of tensor `name`, which must have the shape of `like`.
Result<Tensor> read_tensor(const GgufFile& file, const std::string& name, const Tensor& like) {
  const GgufTensor* tensor = file.find_tensor(name);
  if (tensor == nullptr) return bad_input("{}: tensor {} is missing", file.path(), name);
  std::vector<int64_t> shape(tensor->shape.rbegin(), tensor->shape.rend());
  if (like.sizes() != at::IntArrayRef(shape)) {
    return bad_input("{}: tensor {}: expected {} rows and columns, found {}", file.path(), name,
                     fmt::join(like.sizes(), " x "), fmt::join(shape, " x "));
  }
  const QuantTraits* quant = find_quant(tensor->type());
  if (quant == nullptr) {
    return make_error(ErrorCode::kUnsupported, "{}: tensor {}: no codec for type {}", file.path(),
                      name, tensor->type_id);
  }
  Tensor values = at::empty(shape);
  quant->dequantize(tensor->data.data(), values.mutable_data_ptr<float>(),
                    static_cast<size_t>(values.numel()));
  return values;
}

}  // namespace

Result<Checkpoint> import_gguf(const std::string& path) {
  LH_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(path));
  Checkpoint checkpoint;
  LH_ASSIGN_OR_RETURN(checkpoint.config, read_config(file));
  const ModelConfig& config = checkpoint.config;
  // Before memory is taken for the weights: the file holds as many values as the keys promise.
  if (config.n_layers > static_cast<int64_t>(file.tensors().size())) {
    return bad_input("{}: {} layers, but only {} tensors", path, config.n_layers,
                     file.tensors().size());
  }
  checkpoint.weights = init_weights(config);
  const at::NoGradGuard no_grad;
  for (auto& [name, weight] : checkpoint.weights.named()) {
    LH_ASSIGN_OR_RETURN(Tensor values, read_tensor(file, name, weight));
    const bool rotated = name.ends_with("attn_q.weight") || name.ends_with("attn_k.weight");
    if (rotated && !config.qk_norm) values = split_pairs(values, config.head_dim);
    weight.copy_(values);
  }
  return checkpoint;
}

Result<Checkpoint> load_model(const std::string& path) {
  return std::filesystem::is_directory(path) ? load_checkpoint(path) : import_gguf(path);
}

}  // namespace longhaul::trainer
