// RetNet (arXiv 2307.08621): gated multi-scale retention and no attention, so that a text is a
// state of fixed size; feed-forward, norms and residuals as in "llama". Neighbouring pairs turn,
// the last frequency is 1 / theta. docs/architectures.md lists the keys.
#include <cmath>

#include "model/common_keys.h"

namespace longhaul {
namespace {

// The decay of each head: the paper's, 1 - 2^(-5 - i), unless the file has others.
Result<std::vector<float>> read_decays(KeyReader& keys, size_t n_heads) {
  constexpr std::string_view kKey = "retention.decay";
  std::vector<float> decays(n_heads);
  if (keys.has(kKey)) {
    LH_ASSIGN_OR_RETURN(decays, keys.f32_array(kKey, n_heads));
  } else {
    for (size_t i = 0; i < n_heads; ++i)
      decays[i] = 1.0F - std::exp2(-5.0F - static_cast<float>(i));
  }
  for (const float decay : decays) {
    if (decay >= 0 && decay <= 1) continue;
    return bad_input("{}: key '{}': expected numbers from 0 to 1, found {}", keys.path(),
                     keys.key(kKey), decay);
  }
  return decays;
}

Result<ModelPlan> plan(KeyReader& keys) {
  LH_ASSIGN_OR_RETURN(ModelPlan plan, read_transformer(keys, RopeLayout::kInterleaved));
  LH_RETURN_IF_ERROR(read_inclusive(keys, plan.ropes[0]));
  const auto& heads = std::get<AttentionSpec>(plan.layers[0].mixer);
  RetentionSpec retention = retention_of(heads.n_heads, heads.key_dim, heads.value_dim);
  LH_ASSIGN_OR_RETURN(retention.decays, read_decays(keys, retention.n_heads));
  for (LayerSpec& layer : plan.layers) {
    layer.mixer = retention;
    layer.rows = RowSet::kAll;
  }
  return plan;
}

}  // namespace

extern const Architecture kRetnetArchitecture;
const Architecture kRetnetArchitecture = {.name = "retnet", .plan = plan};

}  // namespace longhaul
