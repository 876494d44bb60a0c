// Where the time of a generation goes. Filled only on request: without one no clock is read.
#pragma once

#include <cstddef>
#include <cstdint>

namespace longhaul {

// Some forward passes of one kind. The four times add up to all of their time. Of a pass that texts
// shared each has the times by its share of the rows.
struct PassTimes {
  size_t n_passes = 0;
  size_t n_tokens = 0;
  // Positions attended to, summed over the tokens, mean over layers and KV heads: a dense token at
  // position p attends to p + 1.
  double n_attended = 0;
  double weights_s = 0;    // matrix products and the rounding of their inputs
  double selection_s = 0;  // scoring blocks and choosing among them
  double attention_s = 0;  // reading the chosen tiles
  double rest_s = 0;       // norms, RoPE, storing K and V, SiLU, residual sums

  double total_s() const { return weights_s + selection_s + attention_s + rest_s; }

  PassTimes& operator+=(const PassTimes& other) {
    n_passes += other.n_passes;
    n_tokens += other.n_tokens;
    n_attended += other.n_attended;
    weights_s += other.weights_s;
    selection_s += other.selection_s;
    attention_s += other.attention_s;
    rest_s += other.rest_s;
    return *this;
  }
};

struct Profile {
  PassTimes prompt;  // passes over the prompt
  PassTimes steps;   // one-token passes
  PassTimes chunks;  // passes over decoded tokens: rectification, verification
  // Hash of the logits behind every token of the text, in order: two runs that agree computed the
  // same bits at every position.
  uint64_t logits_hash = 0;
};

}  // namespace longhaul
