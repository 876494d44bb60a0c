// The second version of the Differential Transformer (microsoft/unilm, Diff-Transformer-V2): twice
// the query heads on grouped attention, subtracted in pairs by a factor of each token and pair; all
// else as "llama". attention.head_count counts the heads before the difference.
// docs/architectures.md lists the keys.
#include "model/common_keys.h"

namespace longhaul {
namespace {

Result<ModelPlan> plan(KeyReader& keys) {
  LH_ASSIGN_OR_RETURN(ModelPlan plan, read_transformer(keys, RopeLayout::kInterleaved));
  for_each_attention(plan, [&](size_t, AttentionSpec& spec) { spec.pairs = HeadPairs::kSameKeys; });
  return plan;
}

}  // namespace

extern const Architecture kDiff2Architecture;
const Architecture kDiff2Architecture = {.name = "diff2", .plan = plan};

}  // namespace longhaul
