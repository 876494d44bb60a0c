#include "model/config.h"

#include <fmt/ranges.h>

#include <vector>

namespace longhaul {
namespace {

constexpr size_t kMaxHeadDim = 256;

std::string key_of(const ModelConfig& config, std::string_view suffix) {
  return fmt::format("{}.{}", config.architecture, suffix);
}

// Keys whose non-zero value means arithmetic this engine does not do.
struct ForeignKey {
  std::string_view suffix;
  std::string_view feature;
};
constexpr ForeignKey kForeignKeys[] = {
    {"expert_count", "mixture of experts"},
    {"attn_logit_softcapping", "soft-capped attention logits"},
    {"final_logit_softcapping", "soft-capped logits"},
    {"attention.clamp_kqv", "clamped q, k and v"},
    {"logit_scale", "scaled logits"},
    {"residual_scale", "scaled residuals"},
    {"embedding_scale", "scaled embeddings"},
    {"attention.scale", "a custom attention scale"},
};

Status refuse_foreign_features(const GgufFile& file, const ModelConfig& config) {
  for (const auto& [suffix, feature] : kForeignKeys) {
    const std::string key = key_of(config, suffix);
    if (!file.has(key)) continue;
    LH_ASSIGN_OR_RETURN(const double value, file.get_f64(key));
    if (value != 0.0) {
      return unsupported("{}: key '{}' is {}: {} is not supported by this engine", file.path(), key,
                         value, feature);
    }
  }
  const std::string window_key = key_of(config, "attention.sliding_window");
  LH_ASSIGN_OR_RETURN(const uint64_t window, file.get_u64_or(window_key, 0));
  if (window != 0 && window < config.context_length) {
    return unsupported(
        "{}: key '{}' is {}, below the context length {}: sliding-window attention is not "
        "supported",
        file.path(), window_key, window, config.context_length);
  }
  return {};
}

Result<RopeScaling> read_scaling_type(const GgufFile& file, const ModelConfig& config) {
  const std::string key = key_of(config, "rope.scaling.type");
  // A factor without a type means linear.
  const bool has_factor = file.has(key_of(config, "rope.scaling.factor"));
  LH_ASSIGN_OR_RETURN(const std::string_view type,
                      file.get_string_or(key, has_factor ? "linear" : "none"));
  if (type == "none") return RopeScaling::kNone;
  if (type == "linear") return RopeScaling::kLinear;
  if (type == "yarn") return RopeScaling::kYarn;
  return unsupported("{}: key '{}': expected none, linear or yarn, found '{}'", file.path(), key,
                     type);
}

Status read_rope(const GgufFile& file, ModelConfig& config) {
  RopeConfig& rope = config.rope;
  LH_ASSIGN_OR_RETURN(rope.dim,
                      file.get_u64_or(key_of(config, "rope.dimension_count"), config.head_dim));
  LH_ASSIGN_OR_RETURN(rope.theta, file.get_f64_or(key_of(config, "rope.freq_base"), 10000.0));
  LH_ASSIGN_OR_RETURN(rope.scaling, read_scaling_type(file, config));
  // Older files carry the linear factor under its own key and no type.
  LH_ASSIGN_OR_RETURN(const double old_linear,
                      file.get_f64_or(key_of(config, "rope.scale_linear"), 1.0));
  LH_ASSIGN_OR_RETURN(rope.factor,
                      file.get_f64_or(key_of(config, "rope.scaling.factor"), old_linear));
  if (rope.scaling == RopeScaling::kNone && old_linear != 1.0) rope.scaling = RopeScaling::kLinear;
  LH_ASSIGN_OR_RETURN(rope.original_context,
                      file.get_u64_or(key_of(config, "rope.scaling.original_context_length"),
                                      config.context_length));
  LH_ASSIGN_OR_RETURN(rope.attn_factor,
                      file.get_f64_or(key_of(config, "rope.scaling.attn_factor"), 1.0));
  LH_ASSIGN_OR_RETURN(rope.yarn_beta_fast,
                      file.get_f64_or(key_of(config, "rope.scaling.yarn_beta_fast"), 32.0));
  LH_ASSIGN_OR_RETURN(rope.yarn_beta_slow,
                      file.get_f64_or(key_of(config, "rope.scaling.yarn_beta_slow"), 1.0));
  LH_ASSIGN_OR_RETURN(rope.yarn_ext_factor,
                      file.get_f64_or(key_of(config, "rope.scaling.yarn_ext_factor"), 1.0));
  rope.has_factors = file.find_tensor("rope_freqs.weight") != nullptr;

  if (rope.dim == 0 || rope.dim % 2 != 0 || rope.dim > config.head_dim) {
    return bad_input("{}: key '{}': expected an even number from 2 to the head size {}, found {}",
                     file.path(), key_of(config, "rope.dimension_count"), config.head_dim,
                     rope.dim);
  }
  if (!(rope.theta > 1.0)) {
    return bad_input("{}: key '{}': expected more than 1, found {}", file.path(),
                     key_of(config, "rope.freq_base"), rope.theta);
  }
  if (!(rope.factor > 0.0)) {
    return bad_input("{}: key '{}': expected more than 0, found {}", file.path(),
                     key_of(config, "rope.scaling.factor"), rope.factor);
  }
  return {};
}

// A size that must lie in [1, max]; files with 2^60 layers must not reach an allocation.
Result<size_t> read_size(const GgufFile& file, const std::string& key, size_t max) {
  LH_ASSIGN_OR_RETURN(const uint64_t value, file.get_u64(key));
  if (value == 0 || value > max) {
    return bad_input("{}: key '{}': expected 1 to {}, found {}", file.path(), key, max, value);
  }
  return static_cast<size_t>(value);
}

Status read_sizes(const GgufFile& file, ModelConfig& config) {
  LH_ASSIGN_OR_RETURN(config.n_layers, read_size(file, key_of(config, "block_count"), 1024));
  LH_ASSIGN_OR_RETURN(config.d_model,
                      read_size(file, key_of(config, "embedding_length"), 1U << 20));
  LH_ASSIGN_OR_RETURN(config.d_ff,
                      read_size(file, key_of(config, "feed_forward_length"), 1U << 22));
  LH_ASSIGN_OR_RETURN(config.n_heads,
                      read_size(file, key_of(config, "attention.head_count"), 4096));
  LH_ASSIGN_OR_RETURN(config.context_length,
                      read_size(file, key_of(config, "context_length"), 1U << 28));
  LH_ASSIGN_OR_RETURN(config.n_kv_heads,
                      file.get_u64_or(key_of(config, "attention.head_count_kv"), config.n_heads));
  LH_ASSIGN_OR_RETURN(config.head_dim, file.get_u64_or(key_of(config, "attention.key_length"),
                                                       config.d_model / config.n_heads));
  LH_ASSIGN_OR_RETURN(const uint64_t value_dim,
                      file.get_u64_or(key_of(config, "attention.value_length"), config.head_dim));
  LH_ASSIGN_OR_RETURN(const double eps,
                      file.get_f64(key_of(config, "attention.layer_norm_rms_epsilon")));
  config.norm_eps = static_cast<float>(eps);

  if (config.n_kv_heads == 0 || config.n_heads % config.n_kv_heads != 0) {
    return bad_input("{}: key '{}': expected a divisor of the {} heads, found {}", file.path(),
                     key_of(config, "attention.head_count_kv"), config.n_heads, config.n_kv_heads);
  }
  if (value_dim != config.head_dim) {
    return unsupported("{}: keys of {} and values of {} dimensions: they must be equal",
                       file.path(), config.head_dim, value_dim);
  }
  if (config.head_dim == 0 || config.head_dim % 32 != 0 || config.head_dim > kMaxHeadDim) {
    return unsupported("{}: head size {}: supported are multiples of 32 up to {}", file.path(),
                       config.head_dim, kMaxHeadDim);
  }
  return {};
}

}  // namespace

Result<ModelConfig> read_model_config(const GgufFile& file) {
  ModelConfig config;
  LH_ASSIGN_OR_RETURN(const std::string_view name, file.get_string("general.architecture"));
  config.architecture = name;
  const Architecture* architecture = find_architecture(name);
  if (architecture == nullptr) {
    std::vector<std::string_view> names;
    for (const Architecture* known : all_architectures()) names.push_back(known->name);
    return unsupported("{}: architecture '{}' is not supported; supported: {}", file.path(), name,
                       fmt::join(names, ", "));
  }
  LH_ASSIGN_OR_RETURN(const std::string_view title, file.get_string_or("general.name", ""));
  config.name = title;
  LH_RETURN_IF_ERROR(read_sizes(file, config));
  LH_RETURN_IF_ERROR(refuse_foreign_features(file, config));
  LH_RETURN_IF_ERROR(read_rope(file, config));
  LH_RETURN_IF_ERROR(architecture->refine(file, config));
  return config;
}

}  // namespace longhaul
