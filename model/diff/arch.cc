// Differential Transformer (arXiv 2410.05258): each head subtracts what a second map sees from what
// a first one does, and is normalised; all else as "llama". attention.head_count counts the heads
// after the difference, key_length one of a key's two parts; values are twice as wide.
// docs/architectures.md lists the keys.
#include "model/common_keys.h"

namespace longhaul {
namespace {

Result<ModelPlan> plan(KeyReader& keys) {
  LH_ASSIGN_OR_RETURN(ModelPlan plan, read_transformer(keys, RopeLayout::kInterleaved));
  // Constants of the layers, once a model is trained.
  LH_ASSIGN_OR_RETURN(const std::vector<float> lambdas,
                      keys.f32_array("attention.lambda", plan.layers.size()));
  for_each_attention(plan, [&](size_t i, AttentionSpec& spec) {
    spec.pairs = HeadPairs::kTwoParts;
    spec.n_heads *= 2;
    if (!keys.has("attention.value_length")) spec.value_dim = 2 * spec.key_dim;
    spec.key_dim *= 2;  // its scale stays that of one part
    spec.lambda = lambdas[i];
  });
  return plan;
}

}  // namespace

extern const Architecture kDiffArchitecture;
const Architecture kDiffArchitecture = {.name = "diff", .plan = plan};

}  // namespace longhaul
