// The blocks of the greatest true attention mass: what a perfect selector would choose at this
// budget. It reads every key, so it measures quality and never speed.
#include "attention/selector.h"

namespace longhaul {
namespace {

void score(const SelectionInput& input, std::span<float> scores, AttentionWorkspace& workspace) {
  block_masses(*input.query, input.block_size, scores.size(), scores.data(), workspace);
}

}  // namespace

extern const Selector kOracleSelector;
const Selector kOracleSelector = {.name = "oracle", .score = score};

}  // namespace longhaul
