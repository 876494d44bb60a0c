// What passes cost on one machine with one model: all that `auto` decides from, so that a stored
// calibration gives the same decisions every time.
#pragma once

namespace longhaul {

// Attention and selection grow with the context, the rest of a pass does not.
struct Calibration {
  double step_ms = 0;         // a pass over one token, without attention and selection
  double chunk_ms = 0;        // a pass over several, without attention: for the pass,
  double chunk_token_ms = 0;  // and for each of its tokens
  double dense_ns = 0;        // attention of one token, for each position it attends to
  double sparse_ns = 0;       // the same over selected tiles
  double chunk_ns = 0;        // the same for each token of a pass over several
  double select_ns = 0;       // scoring and choosing, for each block of the context
};

}  // namespace longhaul
