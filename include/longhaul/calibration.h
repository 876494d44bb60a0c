// What passes cost on one machine with one model: all that `auto` decides from, so that a stored
// calibration gives the same decisions every time.
#pragma once

#include <array>
#include <cstddef>

namespace longhaul {

// A dense pass over this many tokens was timed; between two of them, and beyond, costs go straight.
inline constexpr std::array<size_t, 4> kCalibratedRows = {1, 3, 8, 32};
using CostByRows = std::array<double, kCalibratedRows.size()>;

// Attention and selection grow with the context, the rest of a pass does not.
struct Calibration {
  CostByRows pass_ms = {};       // a pass without attention and selection
  CostByRows attention_ns = {};  // attention of a dense pass, for each position of the context
  double sparse_ns = 0;          // attention of one token, for each selected position
  double select_ns = 0;  // scoring (gates where the engine has them) and choosing, for each block
};

}  // namespace longhaul
