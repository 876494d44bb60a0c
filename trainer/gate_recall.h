// How much of the attention mass each way of choosing blocks catches at the same budget.
#pragma once

#include <array>
#include <string_view>

#include "trainer/gate_loss.h"

namespace longhaul::trainer {

inline constexpr std::array<std::string_view, 4> kRankings{"gate", "minmax", "window", "oracle"};

// Sums over heads and queries; the mass caught of each ranking, in the order of kRankings.
struct GateRecall {
  double n = 0;
  std::array<double, kRankings.size()> mass{};

  double of(size_t ranking) const { return n > 0 ? mass[ranking] / n : 0; }
};

// Adds one layer of one sequence: for every query that counts, the share of its attention (mean
// over the heads of a group) in its own block and in budget / block_size others: the sinks, and the
// best of the rest.
//   gate    by the gate's logits
//   minmax  by the bound of min/max descriptors (exact ones; the engine's have 4 bits)
//   window  the newest
//   oracle  by the mass itself: no choice catches more
void add_recall(const GateConfig& config, const GateLayer& gate, const LayerTrace& trace,
                int64_t budget, GateRecall& recall);

}  // namespace longhaul::trainer
