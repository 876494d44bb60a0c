// The blocks that hold the most attention by their mean keys and outliers: every query head's
// estimate of the blocks' masses, as shares of their sum, added up over the group. The first block
// is always read: trained models look there when there is nothing to find. The newest block is
// described once it is complete, and always read.
#include "attention/selector.h"

#include <algorithm>
#include <limits>

#include "attention/outlier/summary.h"
#include "base/check.h"
#include "kernels/ops.h"

namespace longhaul {
namespace {

void score(const SelectionInput& input, std::span<float> scores,
           AttentionWorkspace& /*workspace*/) {
  const SummaryView* view = input.find_summary(kOutlierSummary);
  LH_CHECK(view != nullptr);
  const AttentionJob& job = *input.query;
  // A row in the middle of a pass does not see the tokens after it, nor the blocks they complete.
  const size_t n = (job.first_pos + 1) / input.block_size;
  input.scratch->ensure(job.n_group * input.capacity);
  float* const shares = input.scratch->data();
  score_blocks(outlier_blocks(*view, n), {job.q, job.n_group, job.scale, input.block_size}, shares,
               input.capacity);
  std::fill_n(scores.begin(), n, 0.0F);
  for (size_t head = 0; head < job.n_group; ++head) {
    float* const own = shares + head * input.capacity;
    softmax_in_place(own, n);
    add_in_place(scores.data(), own, n);
  }
  std::fill(scores.begin() + static_cast<std::ptrdiff_t>(n), scores.end(),
            std::numeric_limits<float>::max());
}

Result<SummaryPlan> plan(const SelectorSetup& setup) {
  return SummaryPlan{.spec = outlier_summary_spec(setup.key_dim)};
}

Result<std::unique_ptr<Summary>> make(const SelectorSetup& setup, const RopeAngles& /*rope*/) {
  return std::make_unique<OutlierSummary>(setup.key_dim);
}

constexpr SummaryMaker kMaker = {.plan = plan, .make = make};

}  // namespace

extern const Selector kOutlierSelector;
const Selector kOutlierSelector = {.name = "outlier",
                                   .score = score,
                                   .least_sink_blocks = 1,
                                   .summary = kOutlierSummary,
                                   .keeps = &kMaker,
                                   .data = "a cache that keeps its data (--selector outlier)"};

}  // namespace longhaul
