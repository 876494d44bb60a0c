#include "model/random_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "io/gguf_writer.h"
#include "quant/registry.h"

namespace longhaul {
namespace {

// Matrices are put together from this many encoded values, drawn once per scale: a 7B model in
// seconds.
constexpr size_t kPoolValues = 1 << 16;

TensorType type_of(const RandomModelSpec& spec, const TensorSpec& tensor) {
  return tensor.stays_f32 || tensor.kind == TensorKind::kVector ||
                 tensor.kind == TensorKind::kNumbers
             ? TensorType::kF32
             : spec.type;
}

// The numbers of a tensor: normal, or for matrices `gain` over the root of the inputs.
struct Draw {
  float mean = 0;
  float deviation = 0;
  float gain = 1;
};

Draw draw_of(const RandomModelSpec& spec, std::string_view name) {
  const auto is = [name](std::string_view suffix) { return name.ends_with(suffix); };
  // Steps between 0.001 and 0.1, mostly.
  if (is("ssm_dt.bias")) return {.mean = -4, .deviation = 1};
  if (is("ssm_d")) return {.mean = 1, .deviation = 0.1F};
  if (is(".bias")) return {.mean = 0, .deviation = 0.5F};
  if (name.find("attn_lambda_") != std::string_view::npos) return {.deviation = 0.1F};
  if (is("attn_subln.weight")) return {.mean = 1, .deviation = 0.1F};
  if (is("attn_q_norm.weight")) return {.mean = spec.attention_gain, .deviation = 0.1F};
  if (is("norm.weight")) return {.mean = 1, .deviation = 0.1F};
  if (is("token_embd.weight")) return {.gain = spec.embedding_gain};
  if (is("attn_q.weight") || is("attn_qkv.weight")) return {.gain = spec.attention_gain};
  if (is("attn_output.weight")) return {.gain = spec.output_gain};
  if (is("output.weight")) return {.gain = 3};
  return {};
}

void set_keys(const RandomModelSpec& spec, GgufWriter& writer) {
  const std::string& arch = spec.architecture;
  const auto set = [&](const char* suffix, size_t value) {
    writer.set_u32(fmt::format("{}.{}", arch, suffix), static_cast<uint32_t>(value));
  };
  writer.set_string("general.architecture", arch);
  writer.set_string("general.name", fmt::format("random weights: {} {}", spec.name, spec.seed));
  set("block_count", spec.n_layers);
  set("context_length", spec.context_length);
  set("embedding_length", spec.d_model);
  set("feed_forward_length", spec.d_ff);
  set("attention.head_count", spec.n_heads);
  set("attention.head_count_kv", spec.n_kv_heads);
  set("attention.key_length", spec.head_dim);
  if (spec.value_dim > 0) set("attention.value_length", spec.value_dim);
  set("rope.dimension_count", spec.head_dim);
  set("vocab_size", spec.vocab_size);
  writer.set_f32(fmt::format("{}.attention.layer_norm_rms_epsilon", arch), 1e-6F);
  writer.set_f32(fmt::format("{}.rope.freq_base", arch), spec.rope_theta);
  if (spec.n_experts > 0) {
    set("expert_count", spec.n_experts);
    set("expert_used_count", spec.n_active_experts);
    set("expert_feed_forward_length", spec.d_ff);
  }
  if (spec.window > 0) {
    set("attention.sliding_window", spec.window);
    if (arch != "yoco" && arch != "phi4flash")
      set("attention.sliding_window_pattern", spec.window_period);
  }
  if (arch == "phi4flash") set("ssm_dt_rank", (spec.d_model + 511) / 512 * 32);
  if (spec.n_shared > 0) set("attention.shared_kv_layers", spec.n_shared);
  if (spec.n_self_heads > 0) set("self_attention.head_count", spec.n_self_heads);
  if (arch == "lex") writer.set_bool("lex.attention.block_causal", spec.block_causal);
  if (arch == "diff") {
    // As a trained model's, near 0.8 - 0.6 exp(-0.3 layer).
    std::vector<float> lambdas(spec.n_layers);
    for (size_t i = 0; i < spec.n_layers; ++i)
      lambdas[i] = 0.8F - 0.6F * std::exp(-0.3F * static_cast<float>(i));
    writer.set_f32_array(fmt::format("{}.attention.lambda", arch), lambdas);
  }
}

class Builder {
 public:
  explicit Builder(const RandomModelSpec& spec) : spec_(spec), random_(spec.seed) {}

  Result<std::vector<std::byte>> build() {
    LH_RETURN_IF_ERROR(add_all());
    return writer_.write_to_memory();
  }

  Status write(const std::string& path) {
    LH_RETURN_IF_ERROR(add_all());
    return writer_.write(path);
  }

 private:
  Status add_all() {
    if (spec_.vocab_size < 257)
      return bad_input("random model: expected a vocabulary of at least 257, found {}",
                       spec_.vocab_size);
    set_keys(spec_, writer_);
    LH_ASSIGN_OR_RETURN(const ModelPlan plan, plan_of_keys(writer_));
    add_vocabulary();
    for (const TensorSpec& tensor : tensors(plan)) {
      if (spec_.tied && !tensor.alternative.empty()) continue;
      const Draw draw = draw_of(spec_, tensor.name);
      const bool is_f32 = tensor.kind == TensorKind::kVector || tensor.kind == TensorKind::kNumbers;
      LH_RETURN_IF_ERROR(is_f32 ? vector(tensor, draw) : matrix(tensor, draw.gain));
    }
    return {};
  }

  // Byte-level BPE without merges: the 256 bytes as GPT-2 writes them, an end token, unused ones.
  void add_vocabulary() {
    std::vector<std::string> tokens;
    uint32_t next = 256;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      const bool printable =
          (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
      const uint32_t code = printable ? byte : next++;
      tokens.push_back(code < 128 ? std::string(1, static_cast<char>(code))
                                  : std::string{static_cast<char>(0xC0 | (code >> 6)),
                                                static_cast<char>(0x80 | (code & 0x3F))});
    }
    std::vector<int32_t> types(spec_.vocab_size, 5);
    std::fill_n(types.begin(), 256, 1);
    types[256] = 3;
    tokens.emplace_back("<|end|>");
    for (size_t i = tokens.size(); i < spec_.vocab_size; ++i)
      tokens.push_back(fmt::format("<unused {}>", i));
    writer_.set_string("tokenizer.ggml.model", "gpt2");
    writer_.set_string("tokenizer.ggml.pre", "gpt-2");
    writer_.set_string_array("tokenizer.ggml.tokens", tokens);
    writer_.set_i32_array("tokenizer.ggml.token_type", types);
    writer_.set_string_array("tokenizer.ggml.merges", std::vector<std::string>{});
    writer_.set_u32("tokenizer.ggml.eos_token_id", 256);
  }

  std::vector<float> normal(size_t n, float mean, float deviation) {
    std::normal_distribution<float> draw(mean, deviation);
    std::vector<float> values(n);
    for (float& value : values) value = draw(random_);
    return values;
  }

  Status vector(const TensorSpec& tensor, const Draw& draw) {
    std::vector<float> values = normal(tensor.n_elements(), draw.mean, draw.deviation);
    // Every channel's states fade at paces from 1 to d_state.
    for (size_t i = 0; tensor.name.ends_with("ssm_a") && i < values.size(); ++i)
      values[i] = -static_cast<float>(i % tensor.n_in + 1);
    const auto bytes = std::as_bytes(std::span(values));
    return writer_.add_tensor(tensor.name, TensorType::kF32, tensor.shape(),
                              [copy = std::vector<std::byte>(bytes.begin(), bytes.end())](
                                  GgufWriter::Sink sink) { return sink(copy); });
  }

  Status matrix(const TensorSpec& tensor, float gain) {
    const TensorType type = type_of(spec_, tensor);
    const TensorTypeInfo& info = tensor_type_info(type);
    const QuantTraits* traits = find_quant(type);
    if (traits == nullptr) return unsupported("random weights of type {}: no encoder", info.name);
    const std::vector<float> values =
        normal(kPoolValues, 0.0F, gain / std::sqrt(static_cast<float>(tensor.n_in)));
    std::vector<std::byte> pool(kPoolValues / info.block_len * info.block_bytes);
    traits->quantize(values.data(), pool.data(), kPoolValues);
    const size_t n_blocks = tensor.n_elements() / info.block_len;
    return writer_.add_tensor(
        tensor.name, type, tensor.shape(),
        [pool = std::move(pool), n_blocks, seed = random_(), size = info.block_bytes](
            GgufWriter::Sink sink) { return emit(pool, n_blocks, size, seed, sink); });
  }

  // Writes n_blocks blocks of the pool, each chosen at random, a piece at a time.
  static Status emit(const std::vector<std::byte>& pool, size_t n_blocks, size_t block_bytes,
                     uint64_t seed, GgufWriter::Sink sink) {
    std::mt19937_64 random(seed);
    const size_t n_choices = pool.size() / block_bytes;
    constexpr size_t kPiece = 4096;
    std::vector<std::byte> piece(kPiece * block_bytes);
    for (size_t done = 0; done < n_blocks;) {
      const size_t n = std::min(kPiece, n_blocks - done);
      for (size_t i = 0; i < n; ++i) {
        std::memcpy(piece.data() + i * block_bytes,
                    pool.data() + random() % n_choices * block_bytes, block_bytes);
      }
      LH_RETURN_IF_ERROR(sink(std::span(piece).first(n * block_bytes)));
      done += n;
    }
    return {};
  }

  const RandomModelSpec& spec_;
  std::mt19937_64 random_;
  GgufWriter writer_;
};

RandomModelSpec shape(const char* name, const char* architecture, size_t n_layers, size_t d_model,
                      size_t d_ff, size_t n_heads, size_t n_kv_heads, size_t head_dim,
                      size_t vocab_size, float theta, bool tied) {
  RandomModelSpec spec;
  spec.name = name;
  spec.architecture = architecture;
  spec.n_layers = n_layers;
  spec.d_model = d_model;
  spec.d_ff = d_ff;
  spec.n_heads = n_heads;
  spec.n_kv_heads = n_kv_heads;
  spec.head_dim = head_dim;
  spec.vocab_size = vocab_size;
  spec.rope_theta = theta;
  spec.tied = tied;
  spec.context_length = 1 << 20;
  spec.type = TensorType::kQ8_0;
  spec.attention_gain = 1.0F;
  // Random weights hold nothing against the small differences between sparse and dense logits, so
  // that most drafts of `exact` would fail. A small attention output and, where the output matrix
  // is the embedding, a large embedding (the last token again, by a margin) let nearly all pass.
  spec.output_gain = 0.0001F;
  spec.embedding_gain = tied ? 12.0F : 1.0F;
  return spec;
}

RandomModelSpec with_experts(RandomModelSpec spec, size_t n_experts, size_t n_active) {
  spec.n_experts = n_experts;
  spec.n_active_experts = n_active;
  return spec;
}

RandomModelSpec with_windows(RandomModelSpec spec, size_t window) {
  spec.window = window;
  spec.window_period = 6;
  // The embeddings are scaled by the root of d_model.
  spec.embedding_gain /= std::sqrt(static_cast<float>(spec.d_model));
  return spec;
}

RandomModelSpec retnet(RandomModelSpec spec, size_t value_dim) {
  spec.value_dim = value_dim;
  return spec;
}

RandomModelSpec yoco(RandomModelSpec spec, size_t n_self_heads, size_t window) {
  spec.n_shared = spec.n_layers / 2;
  spec.n_self_heads = n_self_heads;
  spec.window = window;
  // The embeddings are scaled by the root of d_model.
  spec.embedding_gain /= std::sqrt(static_cast<float>(spec.d_model));
  return spec;
}

RandomModelSpec sambay(RandomModelSpec spec, size_t window) {
  spec.window = window;
  return spec;
}

// Sizes from the models' published configurations; of the line's architectures those of their
// papers' 400M models, beside a Transformer of as many parameters.
const std::vector<RandomModelSpec>& shapes() {
  static const std::vector<RandomModelSpec> kShapes = {
      with_windows(shape("gemma3-270m", "gemma3", 18, 640, 2048, 4, 1, 256, 262144, 1e6F, true),
                   512),
      with_windows(shape("gemma3-1b", "gemma3", 26, 1152, 6912, 4, 1, 256, 262144, 1e6F, true),
                   512),
      shape("diff-400m", "diff", 24, 1024, 2816, 8, 8, 64, 32000, 1e4F, true),
      shape("diff2-400m", "diff2", 24, 1024, 2816, 32, 16, 64, 32000, 1e4F, true),
      shape("llama-400m", "llama", 24, 1024, 2816, 16, 16, 64, 32000, 1e4F, true),
      retnet(shape("retnet-400m", "retnet", 24, 1024, 2048, 4, 4, 256, 32000, 1e4F, true), 512),
      yoco(shape("yoco-400m", "yoco", 24, 1024, 3072, 16, 16, 64, 32000, 1e4F, true), 4, 0),
      yoco(shape("yoco-window-400m", "yoco", 24, 1024, 3072, 16, 16, 64, 32000, 1e4F, true), 16,
           1024),
      shape("llama-3.2-1b", "llama", 16, 2048, 8192, 32, 8, 64, 128256, 5e5F, true),
      sambay(
          shape("phi-4-mini-flash", "phi4flash", 32, 2560, 10240, 40, 20, 64, 200064, 1e4F, true),
          512),
      shape("qwen2.5-0.5b", "qwen2", 24, 896, 4864, 14, 2, 64, 151936, 1e6F, true),
      shape("qwen2.5-1.5b", "qwen2", 28, 1536, 8960, 12, 2, 128, 151936, 1e6F, true),
      shape("qwen3-0.6b", "qwen3", 28, 1024, 3072, 16, 8, 128, 151936, 1e6F, true),
      shape("qwen3-1.7b", "qwen3", 28, 2048, 6144, 16, 8, 128, 151936, 1e6F, true),
      shape("qwen3-4b", "qwen3", 36, 2560, 9728, 32, 8, 128, 151936, 1e6F, true),
      shape("qwen3-8b", "qwen3", 36, 4096, 12288, 32, 8, 128, 151936, 1e6F, false),
      with_experts(
          shape("qwen3-30b-a3b", "qwen3moe", 48, 2048, 768, 32, 4, 128, 151936, 1e6F, false), 128,
          8),
      shape("r1-distill-qwen-1.5b", "qwen2", 28, 1536, 8960, 12, 2, 128, 151936, 1e4F, false),
      shape("r1-distill-qwen-7b", "qwen2", 28, 3584, 18944, 28, 4, 128, 152064, 1e4F, false),
      shape("smollm2-1.7b", "llama", 24, 2048, 8192, 32, 32, 64, 49152, 1.3e5F, true),
  };
  return kShapes;
}

}  // namespace

Result<std::vector<std::byte>> make_random_model(const RandomModelSpec& spec) {
  return Builder(spec).build();
}

Status write_random_model(const RandomModelSpec& spec, const std::string& path) {
  return Builder(spec).write(path);
}

Result<RandomModelPlan> plan_random_model(const RandomModelSpec& spec) {
  GgufWriter keys;
  set_keys(spec, keys);
  LH_ASSIGN_OR_RETURN(ModelPlan plan, plan_of_keys(keys));
  RandomModelPlan result{.plan = std::move(plan)};
  const auto type = [&](const TensorSpec& tensor) { return std::optional(type_of(spec, tensor)); };
  result.weights = weight_bytes(result.plan, type);
  for (const TensorSpec& tensor : tensors(result.plan)) {
    if (spec.tied && !tensor.alternative.empty()) continue;
    const TensorTypeInfo& info = tensor_type_info(type_of(spec, tensor));
    result.file_bytes += tensor.n_elements() / info.block_len * info.block_bytes;
  }
  return result;
}

Result<RandomModelSpec> find_shape(std::string_view name, std::string_view type) {
  std::vector<std::string_view> types;
  for (const QuantTraits& traits : all_quants()) {
    const std::string_view known = tensor_type_info(traits.type).name;
    types.push_back(known);
    if (known != type) continue;
    for (RandomModelSpec spec : shapes()) {
      spec.type = traits.type;
      if (spec.name == name) return spec;
    }
  }
  if (std::find(types.begin(), types.end(), type) == types.end())
    return bad_input("weight type: expected one of {}, found '{}'", fmt::join(types, ", "), type);
  return bad_input("shape: expected one of {}, found '{}'", fmt::join(shape_names(), ", "), name);
}

std::vector<std::string_view> shape_names() {
  std::vector<std::string_view> names;
  for (const RandomModelSpec& spec : shapes()) names.push_back(spec.name);
  return names;
}

}  // namespace longhaul
