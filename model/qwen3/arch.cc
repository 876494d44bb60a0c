// Qwen3, dense: every head of q and k is normalised before RoPE; no biases.
#include "model/common_keys.h"

namespace longhaul {
namespace {

Result<ModelPlan> plan(KeyReader& keys) {
  LH_ASSIGN_OR_RETURN(ModelPlan plan, read_transformer(keys, RopeLayout::kHalf));
  for_each_attention(plan, [](size_t, AttentionSpec& spec) { spec.qk_norm = QkNorm::kHead; });
  return plan;
}

}  // namespace

extern const Architecture kQwen3Architecture;
const Architecture kQwen3Architecture = {.name = "qwen3", .plan = plan};

}  // namespace longhaul
