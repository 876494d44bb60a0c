#include "model/common_keys.h"

#include <algorithm>
#include <cmath>

namespace longhaul {
namespace {

constexpr size_t kMaxWidth = 1U << 22;
constexpr size_t kMaxHeads = 4096;
constexpr Bounds kMayBeZero = {.least = 0, .most = 1e6, .may_be_least = true};

Result<RopeScaling> read_scaling_type(KeyReader& keys) {
  // A factor without a type means linear.
  LH_ASSIGN_OR_RETURN(
      const std::string_view type,
      keys.string_or("rope.scaling.type", keys.has("rope.scaling.factor") ? "linear" : "none"));
  if (type == "none") return RopeScaling::kNone;
  if (type == "linear") return RopeScaling::kLinear;
  if (type == "yarn") return RopeScaling::kYarn;
  return unsupported("{}: key '{}': expected none, linear or yarn, found '{}'", keys.path(),
                     keys.key("rope.scaling.type"), type);
}

Status check_rope(const KeyReader& keys, const RopeConfig& rope, size_t head_dim) {
  if (rope.dim == 0 || rope.dim % 2 != 0 || rope.dim > head_dim) {
    return bad_input("{}: key '{}': expected an even number from 2 to the head size {}, found {}",
                     keys.path(), keys.key("rope.dimension_count"), head_dim, rope.dim);
  }
  return {};
}

Result<RopeConfig> read_rope(KeyReader& keys, size_t head_dim, size_t context_length) {
  RopeConfig rope;
  LH_ASSIGN_OR_RETURN(rope.dim, keys.size_or("rope.dimension_count", kMaxWidth, head_dim));
  LH_ASSIGN_OR_RETURN(rope.theta, keys.f64_or("rope.freq_base", kRopeBases, 10000.0));
  LH_ASSIGN_OR_RETURN(rope.scaling, read_scaling_type(keys));
  // Older files carry the linear factor under its own key and no type.
  LH_ASSIGN_OR_RETURN(const double old_linear, keys.f64_or("rope.scale_linear", kPositive, 1.0));
  LH_ASSIGN_OR_RETURN(rope.factor, keys.f64_or("rope.scaling.factor", kPositive, old_linear));
  if (rope.scaling == RopeScaling::kNone && old_linear != 1.0) rope.scaling = RopeScaling::kLinear;
  LH_ASSIGN_OR_RETURN(rope.original_context, keys.size_or("rope.scaling.original_context_length",
                                                          kMaxContext, context_length));
  LH_ASSIGN_OR_RETURN(rope.attn_factor, keys.f64_or("rope.scaling.attn_factor", kPositive, 1.0));
  LH_ASSIGN_OR_RETURN(rope.yarn_beta_fast,
                      keys.f64_or("rope.scaling.yarn_beta_fast", kPositive, 32.0));
  LH_ASSIGN_OR_RETURN(rope.yarn_beta_slow,
                      keys.f64_or("rope.scaling.yarn_beta_slow", kPositive, 1.0));
  LH_ASSIGN_OR_RETURN(rope.yarn_ext_factor,
                      keys.f64_or("rope.scaling.yarn_ext_factor", kMayBeZero, 1.0));
  rope.has_factors = keys.has_tensor("rope_freqs.weight");
  LH_RETURN_IF_ERROR(check_rope(keys, rope, head_dim));
  return rope;
}

Result<AttentionSpec> read_attention(KeyReader& keys, size_t d_model) {
  AttentionSpec spec;
  LH_ASSIGN_OR_RETURN(spec.n_heads, keys.size("attention.head_count", kMaxHeads));
  LH_ASSIGN_OR_RETURN(spec.n_kv_heads,
                      keys.size_or("attention.head_count_kv", kMaxHeads, spec.n_heads));
  LH_ASSIGN_OR_RETURN(spec.key_dim,
                      keys.size_or("attention.key_length", kMaxWidth, d_model / spec.n_heads));
  LH_ASSIGN_OR_RETURN(spec.value_dim,
                      keys.size_or("attention.value_length", kMaxWidth, spec.key_dim));
  if (spec.n_heads % spec.n_kv_heads != 0) {
    return bad_input("{}: key '{}': expected a divisor of the {} heads, found {}", keys.path(),
                     keys.key("attention.head_count_kv"), spec.n_heads, spec.n_kv_heads);
  }
  spec.scale = 1.0F / std::sqrt(static_cast<float>(spec.key_dim));
  return spec;
}

// A window that no text of the trained length leaves is none. A smaller one, unread by the
// architecture, is refused.
void skip_wide_window(KeyReader& keys, size_t context_length) {
  const GgufValue* value = keys.find("attention.sliding_window");
  if (value != nullptr && value->to_u64().value_or(0) >= context_length)
    keys.skip("attention.sliding_window");
}

}  // namespace

Result<ModelPlan> read_transformer(KeyReader& keys, RopeLayout layout) {
  ModelPlan plan;
  LH_ASSIGN_OR_RETURN(const size_t n_layers, keys.size("block_count", 1024));
  LH_ASSIGN_OR_RETURN(plan.d_model, keys.size("embedding_length", 1U << 20));
  LH_ASSIGN_OR_RETURN(plan.context_length, keys.size("context_length", kMaxContext));
  LH_ASSIGN_OR_RETURN(const double eps,
                      keys.f64("attention.layer_norm_rms_epsilon", {.least = 0, .most = 1}));
  plan.norm_eps = static_cast<float>(eps);
  LayerSpec layer;
  LH_ASSIGN_OR_RETURN(AttentionSpec attention, read_attention(keys, plan.d_model));
  LH_ASSIGN_OR_RETURN(const size_t d_ff, keys.size("feed_forward_length", kMaxWidth));
  LH_ASSIGN_OR_RETURN(RopeConfig rope, read_rope(keys, attention.key_dim, plan.context_length));
  skip_wide_window(keys, plan.context_length);
  rope.layout = layout;
  plan.ropes = {rope};
  layer.mixer = attention;
  layer.ffn = GatedSpec{.activation = Activation::kSilu, .d_ff = d_ff};
  plan.layers.assign(n_layers, layer);
  plan.layers.back().rows = RowSet::kWithLogits;
  return plan;
}

RetentionSpec retention_of(size_t n_heads, size_t key_dim, size_t value_dim) {
  return {.n_heads = n_heads,
          .key_dim = key_dim,
          .value_dim = value_dim,
          .scale = 1.0F / std::sqrt(static_cast<float>(key_dim))};
}

Status read_inclusive(KeyReader& keys, RopeConfig& rope) {
  LH_ASSIGN_OR_RETURN(rope.inclusive, keys.bool_or("rope.inclusive", true));
  if (!rope.inclusive || rope.dim >= 4) return {};
  return bad_input("{}: key '{}': expected at least 4 where '{}' is true, found {}", keys.path(),
                   keys.key("rope.dimension_count"), keys.key("rope.inclusive"), rope.dim);
}

void for_each_attention(ModelPlan& plan, FunctionRef<void(size_t, AttentionSpec&)> change) {
  for (size_t i = 0; i < plan.layers.size(); ++i) {
    if (auto* spec = std::get_if<AttentionSpec>(&plan.layers[i].mixer)) change(i, *spec);
  }
}

void see_two_blocks(AttentionSpec& spec, size_t trained_length) {
  spec.window_step = std::max<size_t>(1, trained_length / 2);
  spec.window = 2 * spec.window_step;
}

Status read_experts(KeyReader& keys, ModelPlan& plan, bool normalises) {
  ExpertsSpec spec;
  LH_ASSIGN_OR_RETURN(spec.n_experts, keys.size("expert_count", 4096));
  LH_ASSIGN_OR_RETURN(spec.n_active, keys.size("expert_used_count", spec.n_experts));
  LH_ASSIGN_OR_RETURN(spec.each.d_ff, keys.size("feed_forward_length", kMaxWidth));
  LH_ASSIGN_OR_RETURN(spec.each.d_ff,
                      keys.size_or("expert_feed_forward_length", kMaxWidth, spec.each.d_ff));
  LH_ASSIGN_OR_RETURN(spec.normalises, keys.bool_or("expert_weights_norm", normalises));
  for (LayerSpec& layer : plan.layers) layer.ffn = spec;
  return {};
}

}  // namespace longhaul
