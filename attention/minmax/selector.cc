// Min/max bounds (ReSA; Quest, arXiv 2406.10774): score = sum_j max(q_j * kmin_j, q_j * kmax_j)
// with the group's mean query, an upper bound of q.k over the block.
#include "attention/selector.h"

namespace longhaul {
namespace {

void score(const SelectionInput& input, std::span<float> scores,
           AttentionWorkspace& /*workspace*/) {
  score_blocks(input.bounds, input.q_mean, scores.data());
}

}  // namespace

extern const Selector kMinmaxSelector;
const Selector kMinmaxSelector = {.name = "minmax", .score = score};

}  // namespace longhaul
