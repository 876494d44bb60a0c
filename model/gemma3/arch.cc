// Gemma 3, text: five layers of a sliding window to one that sees all, with a RoPE base each; every
// head of q and k is normalised; norms before and after both parts of a layer; GELU; embeddings
// times sqrt(d_model).
#include <cmath>

#include "model/common_keys.h"

namespace longhaul {
namespace {

constexpr size_t kPeriod = 6;  // every sixth layer sees all
constexpr double kWindowTheta = 10000;
// Converters do not write the query scale of the 27B, which differs from all others'.
constexpr size_t kLayersOf27B = 62;

// Whether layer i of n has a window: every period-th has none, or the file lists the layers.
Result<std::vector<bool>> read_windowed(KeyReader& keys, size_t n) {
  constexpr std::string_view kKey = "attention.sliding_window_pattern";
  const GgufValue* value = keys.find(kKey);
  keys.skip(kKey);
  if (value != nullptr && value->array() != nullptr) {
    const auto windowed = value->array()->to_bool();
    if (windowed && windowed->size() == n) return *windowed;
    return bad_input("{}: key '{}': expected a number or {} booleans, found {}", keys.path(),
                     keys.key(kKey), n, describe(*value));
  }
  LH_ASSIGN_OR_RETURN(const size_t period, keys.size_or(kKey, 1024, kPeriod));
  std::vector<bool> windowed(n);
  for (size_t i = 0; i < n; ++i) windowed[i] = i % period != period - 1;
  return windowed;
}

// Windowed layers rotate by a base of their own, without the scaling of the others.
Result<RopeConfig> window_rope(KeyReader& keys, const RopeConfig& full) {
  RopeConfig rope;
  rope.dim = full.dim;
  rope.layout = full.layout;
  LH_ASSIGN_OR_RETURN(rope.theta, keys.f64_or("rope.freq_base_swa", kRopeBases, kWindowTheta));
  return rope;
}

Result<ModelPlan> plan(KeyReader& keys) {
  LH_ASSIGN_OR_RETURN(ModelPlan plan, read_transformer(keys, RopeLayout::kHalf));
  const size_t n_layers = plan.layers.size();
  LH_ASSIGN_OR_RETURN(const size_t window,
                      keys.count_or("attention.sliding_window", kMaxContext, 0));
  LH_ASSIGN_OR_RETURN(const std::vector<bool> windowed, read_windowed(keys, n_layers));
  LH_ASSIGN_OR_RETURN(const RopeConfig rope, window_rope(keys, plan.ropes[0]));
  plan.ropes.push_back(rope);
  plan.embedding_scale = std::sqrt(static_cast<float>(plan.d_model));
  for (LayerSpec& layer : plan.layers) {
    layer.post_norms = true;
    std::get<GatedSpec>(layer.ffn).activation = Activation::kGelu;
  }
  for_each_attention(plan, [&](size_t i, AttentionSpec& spec) {
    spec.qk_norm = QkNorm::kHead;
    if (n_layers == kLayersOf27B)
      spec.scale = 1.0F / std::sqrt(static_cast<float>(plan.d_model / spec.n_heads));
    if (window == 0 || !windowed[i]) return;
    spec.window = window;
    spec.rope = 1;
  });
  return plan;
}

}  // namespace

extern const Architecture kGemma3Architecture;
const Architecture kGemma3Architecture = {.name = "gemma3", .plan = plan};

}  // namespace longhaul
