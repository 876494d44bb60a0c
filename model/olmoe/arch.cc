// OLMoE: q and k are normalised as wholes before RoPE; every feed-forward is a mixture of experts,
// weighted by their shares of all experts.
#include "model/common_keys.h"

namespace longhaul {
namespace {

Result<ModelPlan> plan(KeyReader& keys) {
  LH_ASSIGN_OR_RETURN(ModelPlan plan, read_transformer(keys, RopeLayout::kHalf));
  for_each_attention(plan, [](size_t, AttentionSpec& spec) { spec.qk_norm = QkNorm::kAll; });
  LH_RETURN_IF_ERROR(read_experts(keys, plan, false));
  return plan;
}

}  // namespace

extern const Architecture kOlmoeArchitecture;
const Architecture kOlmoeArchitecture = {.name = "olmoe", .plan = plan};

}  // namespace longhaul
