// A sliding window with attention sinks: the first block and the newest ones, whatever the query.
// The baseline.
#include "attention/selector.h"

namespace longhaul {
namespace {

void score(const SelectionInput& /*input*/, std::span<float> scores,
           AttentionWorkspace& /*workspace*/) {
  for (size_t i = 0; i < scores.size(); ++i) scores[i] = static_cast<float>(i);
}

}  // namespace

extern const Selector kWindowSelector;
const Selector kWindowSelector = {.name = "window", .score = score, .least_sink_blocks = 1};

}  // namespace longhaul
