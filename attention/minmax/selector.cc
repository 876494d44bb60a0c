// Min/max bounds (ReSA; Quest, arXiv 2406.10774): score = sum_j max(q_j * kmin_j, q_j * kmax_j)
// with the group's mean query, an upper bound of q.k over the block.
#include "attention/selector.h"

#include "attention/minmax/summary.h"
#include "base/check.h"

namespace longhaul {
namespace {

void score(const SelectionInput& input, std::span<float> scores,
           AttentionWorkspace& /*workspace*/) {
  const SummaryView* view = input.find_summary(kBoundsSummary);
  LH_CHECK(view != nullptr);
  score_blocks(block_bounds(*view, scores.size()), input.q_mean, scores.data());
}

Result<SummaryPlan> plan(const SelectorSetup& setup) {
  return SummaryPlan{.spec = bounds_summary_spec(setup.key_dim)};
}

Result<std::unique_ptr<Summary>> make(const SelectorSetup& setup, const RopeAngles& /*rope*/) {
  return std::make_unique<BoundsSummary>(setup.key_dim);
}

constexpr SummaryMaker kMaker = {.plan = plan, .make = make};

}  // namespace

extern const Selector kMinmaxSelector;
const Selector kMinmaxSelector = {.name = "minmax",
                                  .score = score,
                                  .summary = kBoundsSummary,
                                  .keeps = &kMaker,
                                  .data = "a cache that keeps its data (--selector minmax)"};

}  // namespace longhaul
