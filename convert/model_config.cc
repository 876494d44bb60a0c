#include "convert/model_config.h"

#include <algorithm>

#include "convert/sambay.h"

namespace longhaul {
namespace {

constexpr size_t kMaxLayers = 1024;
constexpr size_t kMaxHeads = 4096;
constexpr size_t kMaxWidth = 1U << 22;
constexpr size_t kMaxContext = 1U << 28;
constexpr size_t kGemmaPeriod = 6;      // readers know it: every sixth layer sees all
constexpr size_t kGemma27bLayers = 62;  // whose query scale readers know by the layers

struct Family {
  std::string_view model_type;
  std::string_view architecture;
  std::string_view activation;
  bool has_qkv_bias, has_qk_norm, is_interleaved, is_gemma;
};
constexpr Family kFamilies[] = {
    {"llama", "llama", "silu", false, false, true, false},
    {"mistral", "llama", "silu", false, false, true, false},
    {"qwen2", "qwen2", "silu", true, false, false, false},
    {"qwen3", "qwen3", "silu", false, true, false, false},
    {"phi4flash", "phi4flash", "silu", true, false, false, false},
    {"gemma3_text", "gemma3", "gelu_pytorch_tanh", false, true, false, true},
    {"gemma3", "gemma3", "gelu_pytorch_tanh", false, true, false, true},  // with a vision part
};

// What the library that writes the files takes where they have no such key, for keys that published
// files do leave out.
const char* usual_values(const Family& family) {
  if (family.is_gemma) {
    return R"({"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
               "vocab_size": 262208, "max_position_embeddings": 131072, "rms_norm_eps": 1e-6,
               "rope_theta": 1e6, "rope_local_base_freq": 1e4, "query_pre_attn_scalar": 256,
               "hidden_activation": "gelu_pytorch_tanh", "tie_word_embeddings": true})";
  }
  return family.has_qk_norm ? R"({"head_dim": 128})" : "{}";
}

// Keys that change the computation unless they have this value (or are missing or null).
struct NeutralKey {
  std::string_view key;
  const char* value;
};
constexpr NeutralKey kNeutralKeys[] = {
    {"mlp_bias", "false"},
    {"partial_rotary_factor", "1"},
    {"attn_logit_softcapping", "null"},
    {"final_logit_softcapping", "null"},
    {"use_bidirectional_attention", "false"},
    {"quantization_config", "null"},
};

Result<const Family*> find_family(const JsonFields& fields) {
  LH_ASSIGN_OR_RETURN(const std::string type, fields.text("model_type"));
  std::string known;
  for (const Family& family : kFamilies) {
    if (family.model_type == type) return &family;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", family.model_type);
  }
  return fields.wrong("model_type", "one of " + known);
}

Status check_neutral(const JsonFields& fields, const Family& family) {
  for (const NeutralKey& neutral : kNeutralKeys) {
    const Json* value = fields.find(neutral.key);
    if (value != nullptr && *value != Json::parse(neutral.value))
      return fields.wrong(neutral.key, std::string(neutral.value) + " or no such key");
  }
  LH_ASSIGN_OR_RETURN(const bool has_bias, fields.flag_or("attention_bias", family.has_qkv_bias));
  if (has_bias != family.has_qkv_bias)
    return fields.wrong("attention_bias", family.has_qkv_bias ? "true" : "false");
  for (const char* key : {"hidden_act", "hidden_activation"}) {
    LH_ASSIGN_OR_RETURN(const std::string act, fields.text_or(key, family.activation));
    // Gemma's older key names another function, which its layers never used.
    const bool counts = !family.is_gemma || std::string_view(key) == "hidden_activation";
    if (counts && act != family.activation) return fields.wrong(key, family.activation);
  }
  return {};
}

Status read_sizes(const JsonFields& fields, const Family& family, CheckpointConfig& config) {
  LH_ASSIGN_OR_RETURN(config.n_layers, fields.size("num_hidden_layers", kMaxLayers));
  LH_ASSIGN_OR_RETURN(config.d_model, fields.size("hidden_size", kMaxWidth));
  LH_ASSIGN_OR_RETURN(config.d_ff, fields.size("intermediate_size", kMaxWidth));
  LH_ASSIGN_OR_RETURN(config.n_heads, fields.size("num_attention_heads", kMaxHeads));
  LH_ASSIGN_OR_RETURN(config.n_kv_heads,
                      family.model_type == "llama"
                          ? fields.size_or("num_key_value_heads", kMaxHeads, config.n_heads)
                          : fields.size("num_key_value_heads", kMaxHeads));
  LH_ASSIGN_OR_RETURN(config.head_dim,
                      fields.size_or("head_dim", kMaxWidth, config.d_model / config.n_heads));
  LH_ASSIGN_OR_RETURN(config.vocab_size, fields.size("vocab_size", kMaxWidth));
  LH_ASSIGN_OR_RETURN(config.context_length, fields.size("max_position_embeddings", kMaxContext));
  LH_ASSIGN_OR_RETURN(
      config.norm_eps,
      fields.number(family.architecture == "phi4flash" ? "layer_norm_eps" : "rms_norm_eps"));
  LH_ASSIGN_OR_RETURN(config.is_tied, fields.flag_or("tie_word_embeddings", false));
  if (config.n_heads % config.n_kv_heads != 0)
    return fields.wrong("num_key_value_heads", fmt::format("a divisor of {}", config.n_heads));
  if (config.head_dim == 0 || config.head_dim % 2 != 0)
    return fields.wrong("head_dim",
                        fmt::format("an even number (hidden_size / num_attention_heads is {})",
                                    config.d_model / config.n_heads));
  return {};
}

// Windows of the families whose GGUF files cannot say them: none, or wider than any text.
Status refuse_windows(const JsonFields& fields, const Family& family,
                      const CheckpointConfig& config) {
  const bool is_qwen = family.model_type.starts_with("qwen");
  LH_ASSIGN_OR_RETURN(const bool is_used, fields.flag_or("use_sliding_window", !is_qwen));
  LH_ASSIGN_OR_RETURN(const size_t window,
                      fields.size_or("sliding_window", kMaxContext, config.context_length));
  // Qwen's layers before that one see all.
  LH_ASSIGN_OR_RETURN(const double first, fields.number_or("max_window_layers", 28));
  if (family.model_type != "llama" && is_used && window < config.context_length &&
      !(is_qwen && first >= static_cast<double>(config.n_layers))) {
    return fields.wrong(
        "sliding_window",
        fmt::format("at least max_position_embeddings, {}: {} files have no windows",
                    config.context_length, family.architecture));
  }
  return {};
}

Result<std::vector<bool>> read_windowed(const JsonFields& fields, size_t n_layers) {
  LH_ASSIGN_OR_RETURN(size_t period,
                      fields.size_or("sliding_window_pattern", kMaxLayers, kGemmaPeriod));
  LH_ASSIGN_OR_RETURN(period, fields.size_or("_sliding_window_pattern", kMaxLayers, period));
  std::vector<bool> windowed(n_layers);
  for (size_t i = 0; i < n_layers; ++i) windowed[i] = (i + 1) % period != 0;
  const Json* types = fields.find("layer_types");
  if (types == nullptr) return windowed;
  if (!types->is_array() || types->size() != n_layers)
    return fields.wrong("layer_types", fmt::format("{} texts", n_layers));
  for (size_t i = 0; i < n_layers; ++i) {
    windowed[i] = types->at(i) == "sliding_attention";
    if (!windowed[i] && types->at(i) != "full_attention")
      return fields.wrong("layer_types", "full_attention or sliding_attention");
  }
  return windowed;
}

Status read_gemma(const JsonFields& fields, CheckpointConfig& config) {
  LH_ASSIGN_OR_RETURN(config.window, fields.size("sliding_window", kMaxContext));
  LH_ASSIGN_OR_RETURN(config.windowed, read_windowed(fields, config.n_layers));
  LH_ASSIGN_OR_RETURN(config.window_theta, fields.number_or("rope_local_base_freq", 10000));
  LH_ASSIGN_OR_RETURN(const double scalar, fields.number("query_pre_attn_scalar"));
  const size_t expected =
      config.n_layers == kGemma27bLayers ? config.d_model / config.n_heads : config.head_dim;
  if (scalar != static_cast<double>(expected))
    return fields.wrong("query_pre_attn_scalar",
                        fmt::format("{}, as readers of gemma3 files take it", expected));
  return {};
}

// `rope_scaling`, or `rope_parameters`, which gemma3 has for each kind of layer.
Status read_rope(const JsonFields& fields, CheckpointConfig& config) {
  const Json* parameters = fields.find("rope_parameters");
  if (parameters == nullptr) parameters = fields.find("rope_scaling");
  if (parameters != nullptr && parameters->contains("full_attention")) {
    const Json windowed = parameters->value("sliding_attention", Json::object());
    LH_ASSIGN_OR_RETURN(const RopeSettings local,
                        read_rope_settings(fields, &windowed, config.context_length));
    if (local.type != "default")
      return fields.wrong("rope_parameters", "windowed layers without scaling");
    config.window_theta = windowed.contains("rope_theta") ? local.theta : config.window_theta;
    parameters = &parameters->at("full_attention");
  }
  LH_ASSIGN_OR_RETURN(config.rope, read_rope_settings(fields, parameters, config.context_length));
  return {};
}

}  // namespace

Result<CheckpointConfig> read_model_config(const Json& document, const std::string& file) {
  LH_ASSIGN_OR_RETURN(const JsonFields top, JsonFields::of(document, file));
  LH_ASSIGN_OR_RETURN(const Family* family, find_family(top));
  Json values = Json::parse(usual_values(*family));
  const bool has_vision = family->model_type == "gemma3";
  if (has_vision) LH_RETURN_IF_ERROR(top.object("text_config"));
  values.update(has_vision ? document["text_config"] : document);
  LH_ASSIGN_OR_RETURN(const JsonFields fields,
                      JsonFields::of(values, file, has_vision ? "text_config." : ""));
  CheckpointConfig config;
  config.architecture = family->architecture;
  config.has_qkv_bias = family->has_qkv_bias;
  config.has_qk_norm = family->has_qk_norm;
  config.is_interleaved = family->is_interleaved;
  config.is_gemma = family->is_gemma;
  config.has_vision = has_vision;
  LH_RETURN_IF_ERROR(check_neutral(fields, *family));
  LH_RETURN_IF_ERROR(read_sizes(fields, *family, config));
  if (family->architecture == "phi4flash") {
    LH_RETURN_IF_ERROR(read_sambay(fields, config));
    return config;  // nothing is rotated
  }
  LH_RETURN_IF_ERROR(family->is_gemma ? read_gemma(fields, config)
                                      : refuse_windows(fields, *family, config));
  LH_RETURN_IF_ERROR(read_rope(fields, config));
  return config;
}

void set_model_keys(const CheckpointConfig& config, GgufWriter& writer) {
  const auto count = [&](std::string_view suffix, size_t value) {
    writer.set_u32(fmt::format("{}.{}", config.architecture, suffix), static_cast<uint32_t>(value));
  };
  count("vocab_size", config.vocab_size);
  count("context_length", config.context_length);
  count("embedding_length", config.d_model);
  count("block_count", config.n_layers);
  count("feed_forward_length", config.d_ff);
  count("attention.head_count", config.n_heads);
  count("attention.head_count_kv", config.n_kv_heads);
  count("attention.key_length", config.head_dim);
  count("attention.value_length", config.head_dim);
  writer.set_f32(fmt::format("{}.attention.layer_norm_rms_epsilon", config.architecture),
                 static_cast<float>(config.norm_eps));
  if (config.sambay) return set_sambay_keys(config, writer);
  count("rope.dimension_count", config.head_dim);
  set_rope_keys(config.rope, config.architecture, writer);
  if (!config.is_gemma) return;
  count("attention.sliding_window", config.window);
  writer.set_f32(fmt::format("{}.rope.freq_base_swa", config.architecture),
                 static_cast<float>(config.window_theta));
  std::vector<bool> usual(config.n_layers);
  for (size_t i = 0; i < usual.size(); ++i) usual[i] = (i + 1) % kGemmaPeriod != 0;
  if (config.windowed != usual) {
    writer.set_bool_array(fmt::format("{}.attention.sliding_window_pattern", config.architecture),
                          config.windowed);
  }
}

}  // namespace longhaul
