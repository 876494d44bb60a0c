// LeX (arXiv 2212.10554): attention whose scores decay with distance, pair by pair (xPos), and at
// inference blockwise: a token sees its own block of half the trained length and the one before.
// All else as "llama". docs/architectures.md lists the keys.
#include "model/common_keys.h"

namespace longhaul {
namespace {

Result<ModelPlan> plan(KeyReader& keys) {
  LH_ASSIGN_OR_RETURN(ModelPlan plan, read_transformer(keys, RopeLayout::kInterleaved));
  // Below, a segment's last keys would be too large for f16.
  constexpr Bounds kScaleBases = {.least = 400, .most = 1e6, .may_be_least = true};
  LH_ASSIGN_OR_RETURN(const double scale_base,
                      keys.f64_or("rope.xpos_scale_base", kScaleBases, 512.0));
  LH_ASSIGN_OR_RETURN(const bool is_blockwise, keys.bool_or("attention.block_causal", true));
  for_each_attention(plan, [&](size_t, AttentionSpec& spec) {
    spec.xpos_base = static_cast<float>(scale_base);
    if (is_blockwise) see_two_blocks(spec, plan.context_length);
  });
  return plan;
}

}  // namespace

extern const Architecture kLexArchitecture;
const Architecture kLexArchitecture = {.name = "lex", .plan = plan};

}  // namespace longhaul
