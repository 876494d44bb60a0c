// The steps of the sampling chain, each a function of a whole vocabulary row. The first work on
// logits, the last on probabilities; softmax stands between them. A token that a step removes gets
// the logit -infinity or the probability 0. Wherever values tie, the lower index goes first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "sampling/penalty_window.h"

namespace longhaul {

// Removes NaN (it becomes -infinity, a token never chosen) and makes +infinity the largest finite
// float, so that the later steps meet only finite numbers and -infinity.
void clean_logits(std::span<float> logits);

struct Penalties {
  float repetition = 1.0F;  // 1: off
  float presence = 0.0F;    // 0: off
  float frequency = 0.0F;   // 0: off
};
// For each token of the window: a positive logit is divided by `repetition`, any other multiplied
// by it (Keskar et al. 2019, "CTRL"); then `presence` and `frequency` times the count are
// subtracted (the definition of the OpenAI API).
void apply_penalties(std::span<float> logits, const PenaltyWindow& window,
                     const Penalties& penalties);

// Adds each bias to its token's logit; a token named twice gets the sum.
void apply_bias(std::span<float> logits, std::span<const std::pair<int32_t, float>> bias);

// Shifts the largest logit to 0 and divides by `temperature` > 0. The shift changes no probability
// and keeps a tiny temperature from overflowing.
void apply_temperature(std::span<float> logits, float temperature);

// Keeps the `k` largest logits; 0 keeps all. `scratch` is overwritten.
void keep_top_k(std::span<float> logits, size_t k, std::vector<uint32_t>& scratch);

// Logits to probabilities, summed in double. With no finite logit all mass goes to token 0, the
// token the greedy rule names for a row of ties.
void softmax(std::span<float> logits);

// Keeps the smallest set of most probable tokens whose mass reaches `p`, at least one, and scales
// it back to mass 1. p >= 1 keeps all. `scratch` is overwritten.
void keep_top_p(std::span<float> probs, float p, std::vector<uint32_t>& scratch);

// Keeps the tokens whose probability is at least `p` times the largest, and scales to mass 1.
void keep_min_p(std::span<float> probs, float p);

// The index of the largest value, the lowest one of equals; NaN is never chosen. 0 if nothing is
// larger than -infinity.
size_t argmax_token(std::span<const float> values);

}  // namespace longhaul
