#include "trainer/export.h"

#include <ATen/ATen.h>

#include <deque>
#include <span>

#include "io/gguf_writer.h"
#include "quant/registry.h"
#include "trainer/import.h"
#include "trainer/mixers.h"
#include "trainer/rope.h"

namespace longhaul::trainer {
namespace {

using torch::Tensor;

Result<TensorType> matrix_type(const std::string& name) {
  for (const TensorType type : {TensorType::kQ8_0, TensorType::kF16, TensorType::kF32}) {
    if (tensor_type_info(type).name == name) return type;
  }
  return bad_input("--type {}: expected Q8_0, F16 or F32", name);
}

// Rows of q or k, head by head, from halves into the interleaved order of "llama".
Tensor interleave_halves(const Tensor& matrix, int64_t head_dim) {
  const Tensor source = interleaved_place(head_dim, head_dim).argsort();
  return matrix.unflatten(0, {-1, head_dim}).index_select(1, source).flatten(0, 1);
}

// general.architecture of a trained model.
std::string architecture_of(const ModelConfig& config) {
  if (config.arch == "transformer") return config.qk_norm ? "qwen3" : "llama";
  return config.arch == "yoco-window" ? "yoco" : config.arch;
}

// What the engine reads of an architecture beyond what all have (docs/architectures.md).
void set_own_keys(GgufWriter& writer, const std::string& arch, const Checkpoint& checkpoint) {
  const ModelConfig& config = checkpoint.config;
  const auto set = [&](const char* key, int64_t value) {
    writer.set_u32(arch + "." + key, static_cast<uint32_t>(value));
  };
  if (config.arch == "retnet" && config.value_dim > 0)
    set("attention.value_length", config.value_dim);
  if (!config.decays.empty()) {
    writer.set_f32_array(arch + ".retention.decay",
                         std::vector<float>(config.decays.begin(), config.decays.end()));
  }
  if (arch == "yoco") {
    set("attention.shared_kv_layers", config.n_shared);
    set("self_attention.head_count", config.n_self_heads);
    set("self_attention.key_length", config.self_head_dim);
    writer.set_f32("yoco.embedding_scale", static_cast<float>(config.embedding_scale));
    if (config.window > 0) set("attention.sliding_window", config.window);
  }
  if (arch == "diff") {
    std::vector<float> lambdas;
    for (int64_t i = 0; i < config.n_layers; ++i) {
      lambdas.push_back(lambda_of(config, i, checkpoint.weights.layers[size_t(i)]).item<float>());
    }
    writer.set_f32_array("diff.attention.lambda", lambdas);
  }
}

void set_model_keys(GgufWriter& writer, const Checkpoint& checkpoint,
                    const ExportOptions& options) {
  const ModelConfig& config = checkpoint.config;
  const std::string arch = architecture_of(config);
  const auto set = [&](const char* key, int64_t value) {
    writer.set_u32(arch + "." + key, static_cast<uint32_t>(value));
  };
  writer.set_string("general.architecture", arch);
  writer.set_string("general.name", options.name);
  writer.set_string("general.license", options.license);
  writer.set_u32("general.file_type", options.type == "Q8_0" ? 7 : options.type == "F16" ? 1 : 0);
  set("context_length", options.context_length);
  set("block_count", config.n_layers);
  set("embedding_length", config.d_model);
  set("feed_forward_length", config.d_ff);
  set("attention.head_count", config.n_heads);
  set("attention.head_count_kv", config.n_kv_heads);
  set("attention.key_length", config.head_dim);
  if (config.arch == "transformer") set("attention.value_length", config.head_dim);
  set("rope.dimension_count", config.head_dim);
  set("vocab_size", config.vocab_size);
  writer.set_f32(arch + ".rope.freq_base", static_cast<float>(config.rope_theta));
  writer.set_f32(arch + ".attention.layer_norm_rms_epsilon", static_cast<float>(config.norm_eps));
  set_own_keys(writer, arch, checkpoint);
}

// The number of the layer in blk.N.
int64_t layer_of(const std::string& name) { return std::stoll(name.substr(4)); }

// A tensor as the file has it: q and k with neighbouring pairs where the architecture turns those,
// what is constant once trained multiplied in.
Tensor in_file(const Checkpoint& checkpoint, const std::string& name, const Tensor& tensor) {
  const ModelConfig& config = checkpoint.config;
  const bool rotated = name.ends_with("attn_q.weight") || name.ends_with("attn_k.weight");
  if (rotated && architecture_of(config) != "qwen3")
    return interleave_halves(tensor, rotated_dim(config, layer_of(name)));
  if (name.ends_with("attn_sub_norm.weight"))
    return tensor * sub_norm_factor(config, layer_of(name));
  return tensor;
}

// Those that are in a key of the file.
bool is_key(const std::string& name) { return name.find(".attn_lambda_") != std::string::npos; }

void set_vocabulary_keys(GgufWriter& writer, const longhaul::Vocabulary& vocabulary) {
  writer.set_string("tokenizer.ggml.model", vocabulary.model);
  writer.set_string("tokenizer.ggml.pre", vocabulary.pre.value_or("default"));
  writer.set_string_array("tokenizer.ggml.tokens", vocabulary.tokens);
  writer.set_i32_array("tokenizer.ggml.token_type", vocabulary.types);
  writer.set_string_array("tokenizer.ggml.merges", vocabulary.merges);
  writer.set_u32("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(*vocabulary.bos));
  writer.set_u32("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(*vocabulary.eos));
  writer.set_bool("tokenizer.ggml.add_bos_token", *vocabulary.add_bos);
}

}  // namespace

Status export_gguf(const ExportOptions& options, const Vocabulary& vocabulary) {
  LH_ASSIGN_OR_RETURN(const TensorType type, matrix_type(options.type));
  LH_ASSIGN_OR_RETURN(const Checkpoint checkpoint, load_model(options.checkpoint));
  LH_RETURN_IF_ERROR(check_writable(checkpoint, options.checkpoint));
  const ModelConfig& config = checkpoint.config;
  if (config.vocab_size != vocabulary.size()) {
    return bad_input("{}: a vocabulary of {} tokens, expected {}", options.checkpoint,
                     config.vocab_size, vocabulary.size());
  }
  GgufWriter writer;
  set_model_keys(writer, checkpoint, options);
  set_vocabulary_keys(writer, vocabulary.to_gguf());
  std::deque<std::vector<std::byte>> encoded;  // lives until the file is written
  for (const auto& [name, tensor] : checkpoint.weights.named()) {
    if (is_key(name)) continue;
    const Tensor values = in_file(checkpoint, name, tensor.detach()).contiguous();
    const bool is_matrix = values.dim() == 2 && !name.ends_with("attn_decay.weight");
    const TensorTypeInfo& info = tensor_type_info(is_matrix ? type : TensorType::kF32);
    const auto n = static_cast<size_t>(values.numel());
    std::vector<uint64_t> shape;  // fastest extent first
    for (int64_t axis = values.dim() - 1; axis >= 0; --axis) {
      shape.push_back(static_cast<uint64_t>(values.size(axis)));
    }
    if (shape[0] % info.block_len != 0) {
      return bad_input("tensor {}: rows of {} are no multiple of {}", name, shape[0],
                       info.block_len);
    }
    encoded.emplace_back(n / info.block_len * info.block_bytes);
    find_quant(TensorType(info.id))
        ->quantize(values.const_data_ptr<float>(), encoded.back().data(), n);
    LH_RETURN_IF_ERROR(writer.add_tensor(name, TensorType(info.id), shape, encoded.back()));
  }
  return writer.write(options.path);
}

}  // namespace longhaul::trainer
