// Learned gates (SeerAttention-R, arXiv 2506.08889): score = Qgate . Kgate / sqrt(dim), the logits
// of a distribution over the complete blocks. The newest block has no gate key until it is
// complete: it is always selected, as the first block is.
#include "attention/selector.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "attention/gate/load.h"
#include "attention/gate/summary.h"
#include "base/check.h"

namespace longhaul {
namespace {

void score(const SelectionInput& input, std::span<float> scores,
           AttentionWorkspace& /*workspace*/) {
  const SummaryView* view = input.find_summary(kGateSummary);
  LH_CHECK(view != nullptr && view->rows != nullptr);
  const Gates& gates = static_cast<const GateSummary*>(view->summary)->gates();
  alignas(64) float query[kMaxGateDim];
  gates.encode_query(view->layer, view->kv_head, view->rows, input.query->q, query);
  const float scale = 1.0F / std::sqrt(static_cast<float>(gates.dim()));
  for (size_t j = 0; j < gates.dim(); ++j) query[j] *= scale;
  HalfMatrixView keys = gate_keys(*view);
  // A row in the middle of a pass does not see the tokens after it, nor the blocks they complete.
  keys.n_rows = (input.query->first_pos + 1) / input.block_size;
  multiply(keys, query, scores.data());
  const std::span<float> untrained = scores.first(std::min(gates.sink_blocks(), scores.size()));
  std::fill(untrained.begin(), untrained.end(), std::numeric_limits<float>::lowest());
  std::fill(scores.begin() + static_cast<std::ptrdiff_t>(keys.n_rows), scores.end(),
            std::numeric_limits<float>::max());
}

constexpr SummaryMaker kMaker = {.plan = plan_gates, .make = make_gates};

}  // namespace

extern const Selector kGateSelector;
const Selector kGateSelector = {.name = "gate",
                                .score = score,
                                .least_sink_blocks = kMaxSinkBlocks,
                                .gives_logits = true,
                                .summary = kGateSummary,
                                .keeps = &kMaker,
                                .learned = true,
                                .data = "a gate file"};

}  // namespace longhaul
