// Qwen3 with experts: as Qwen3, but every feed-forward is a mixture, and the shares of the experts
// chosen add up to 1.
#include "model/common_keys.h"

namespace longhaul {
namespace {

Result<ModelPlan> plan(KeyReader& keys) {
  LH_ASSIGN_OR_RETURN(ModelPlan plan, read_transformer(keys, RopeLayout::kHalf));
  for_each_attention(plan, [](size_t, AttentionSpec& spec) { spec.qk_norm = QkNorm::kHead; });
  LH_RETURN_IF_ERROR(read_experts(keys, plan, true));
  return plan;
}

}  // namespace

extern const Architecture kQwen3moeArchitecture;
const Architecture kQwen3moeArchitecture = {.name = "qwen3moe", .plan = plan};

}  // namespace longhaul
