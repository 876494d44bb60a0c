#include "trainer/import.h"

#include <ATen/ATen.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <set>

#include "io/gguf.h"
#include "model/tensors.h"
#include "quant/registry.h"
#include "trainer/mixers.h"
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

bool is_of_line(std::string_view arch) {
  return arch == "retnet" || arch == "yoco" || arch == "diff" || arch == "diff2" || arch == "lex";
}

bool is_plain(const AttentionSpec& spec) {
  return spec.pairs == HeadPairs::kNone && spec.writes && spec.window == 0 &&
         spec.qk_norm != QkNorm::kAll && spec.rope;
}

// An Error where a layer is more than the trainer computes.
Status check_layers(const std::string& path, const ModelPlan& plan) {
  const auto refuse = [&](const char* what) {
    return unsupported("{}: {}: the trainer has plain transformers and the line's architectures",
                       path, what);
  };
  const std::string& arch = plan.architecture;
  const bool is_line = is_of_line(arch);
  if (plan.embedding_scale != 1.0F && arch != "yoco") return refuse("its embeddings are scaled");
  for (const LayerSpec& layer : plan.layers) {
    const auto* gated = std::get_if<GatedSpec>(&layer.ffn);
    if (gated == nullptr) return refuse("it has experts");
    if (layer.post_norms || gated->activation != Activation::kSilu)
      return refuse("it has norms or activations of another kind");
    const auto* attention = std::get_if<AttentionSpec>(&layer.mixer);
    if (!is_line && (attention == nullptr || !is_plain(*attention)))
      return refuse("it has attention of another kind");
    if (attention != nullptr && attention->xpos_base != 0 && attention->xpos_base != 512)
      return refuse("its scores decay by another base");
    const auto* retention = std::get_if<RetentionSpec>(&layer.mixer);
    if (retention != nullptr && retention->is_gated() && retention->temperature != 16.0F)
      return refuse("its decays have another temperature");
  }
  return {};
}

// Sizes of the heads that the layers of the line's architectures have.
void convert_heads(const ModelPlan& plan, ModelConfig& config) {
  if (const AttentionSpec* attention = main_attention(plan)) {
    const bool two_parts = attention->pairs == HeadPairs::kTwoParts;
    config.n_heads = static_cast<int64_t>(attention->n_heads) / (two_parts ? 2 : 1);
    config.n_kv_heads = static_cast<int64_t>(attention->n_kv_heads);
    config.head_dim = static_cast<int64_t>(attention->part_dim());
    config.qk_norm = attention->qk_norm == QkNorm::kHead;
    config.qkv_bias = attention->bias;
  }
  for (const LayerSpec& layer : plan.layers) {
    if (const auto* retention = std::get_if<RetentionSpec>(&layer.mixer)) {
      config.n_self_heads = static_cast<int64_t>(retention->n_heads);
      config.self_head_dim = static_cast<int64_t>(retention->key_dim);
      config.value_dim = static_cast<int64_t>(retention->value_dim);
      config.decays.assign(retention->decays.begin(), retention->decays.end());
      continue;
    }
    const auto& attention = std::get<AttentionSpec>(layer.mixer);
    if (attention.pairs == HeadPairs::kTwoParts) config.lambdas.push_back(attention.lambda);
    if (attention.kv_norm || !attention.writes) ++config.n_shared;
    config.block = static_cast<int64_t>(attention.window_step);
    if (attention.window == 0 || attention.window_step > 0) continue;
    config.window = static_cast<int64_t>(attention.window);
    config.n_self_heads = static_cast<int64_t>(attention.n_heads);
    config.self_head_dim = static_cast<int64_t>(attention.key_dim);
  }
  if (plan.architecture != "retnet") return;
  config.n_heads = config.n_kv_heads = config.n_self_heads;
  config.head_dim = config.self_head_dim;
}

// The trainer's fields of a plan the engine read; RoPE's frequencies with all scaling applied.
Result<ModelConfig> convert_plan(const GgufFile& file, const ModelPlan& plan) {
  LH_RETURN_IF_ERROR(check_layers(file.path(), plan));
  const AttentionSpec* attention = main_attention(plan);
  const RopeConfig& rope = plan.ropes[attention == nullptr ? 0 : *attention->rope];
  ModelConfig config;
  const std::string& arch = plan.architecture;
  if (is_of_line(arch)) config.arch = arch;
  config.n_layers = static_cast<int64_t>(plan.layers.size());
  config.d_model = static_cast<int64_t>(plan.d_model);
  config.d_ff = static_cast<int64_t>(main_d_ff(plan));
  config.vocab_size = static_cast<int64_t>(plan.vocab_size);
  config.embedding_scale = static_cast<double>(plan.embedding_scale);
  config.rope_theta = rope.theta;
  config.rope_inclusive = rope.inclusive;
  config.norm_eps = static_cast<double>(plan.norm_eps);
  config.qk_norm = false;
  config.planted = false;
  convert_heads(plan, config);
  if (config.window > 0) config.arch = "yoco-window";
  std::vector<float> factors;
  if (rope.has_factors) {
    LH_ASSIGN_OR_RETURN(const Tensor values, read_tensor(file, "rope_freqs.weight",
                                                         {static_cast<int64_t>(rope.dim / 2)}));
    factors.assign(values.const_data_ptr<float>(), values.const_data_ptr<float>() + values.numel());
  }
  const bool plain = rope.scaling == RopeScaling::kNone && !rope.has_factors &&
                     static_cast<int64_t>(rope.dim) == config.head_dim && rope.attn_factor == 1;
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
    weight = *values;
    if (turn) {
      // Lower layers of yoco turn heads of their own size.
      const int64_t dim = rotated_dim(config, std::stoll(name.substr(4)));
      weight = into_halves(*values, dim == config.head_dim ? rope : plan.ropes.back(), dim);
    }
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
