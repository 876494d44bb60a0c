// Learned gates (SeerAttention-R, arXiv 2506.08889): score = Qgate . Kgate / sqrt(dim), the logits
// of a distribution over the complete blocks. The newest block has no gate key until it is
// complete: it is always selected.
#include "attention/selector.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace longhaul {
namespace {

void score(const SelectionInput& input, std::span<float> scores,
           AttentionWorkspace& /*workspace*/) {
  const GateInput& gate = input.gate;
  LH_CHECK(gate.gates != nullptr);
  const size_t dim = gate.gates->dim();
  alignas(64) float query[kMaxGateDim];
  gate.gates->encode_query(gate.layer, gate.kv_head, gate.angles, input.query->q, query);
  const float scale = 1.0F / std::sqrt(static_cast<float>(dim));
  for (size_t j = 0; j < dim; ++j) query[j] *= scale;
  HalfMatrixView keys = gate.keys;
  // A row in the middle of a pass does not see the tokens after it, nor the blocks they complete.
  keys.n_rows = (input.query->first_pos + 1) / input.block_size;
  multiply(keys, query, scores.data());
  std::fill(scores.begin() + static_cast<std::ptrdiff_t>(keys.n_rows), scores.end(),
            std::numeric_limits<float>::max());
}

}  // namespace

extern const Selector kGateSelector;
const Selector kGateSelector = {.name = "gate", .score = score, .needs_gates = true};

}  // namespace longhaul
