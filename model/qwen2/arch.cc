// Qwen2, Qwen2.5, DeepSeek-R1-Distill-Qwen: q, k and v have biases.
#include "model/common_keys.h"

namespace longhaul {
namespace {

Result<ModelPlan> plan(KeyReader& keys) {
  LH_ASSIGN_OR_RETURN(ModelPlan plan, read_transformer(keys, RopeLayout::kHalf));
  for_each_attention(plan, [](size_t, AttentionSpec& spec) { spec.bias = true; });
  return plan;
}

}  // namespace

extern const Architecture kQwen2Architecture;
const Architecture kQwen2Architecture = {.name = "qwen2", .plan = plan};

}  // namespace longhaul
