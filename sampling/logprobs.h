// Log probabilities of tokens from a row of logits, as the model gave them: no penalty, bias or
// temperature.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "longhaul/token.h"

namespace longhaul {

// Of one row of logits [vocab_size], which must outlive it. NaN and -infinity are no token's.
class Logprobs {
 public:
  explicit Logprobs(std::span<const float> logits);

  // The logarithm of the token's share of the softmax; the lowest float where it has none, since
  // JSON has no infinity.
  float of(int32_t token) const;
  // The `n` likeliest tokens, or all there are, likeliest first; of equals the lower id.
  std::vector<int32_t> top(size_t n) const;

 private:
  std::span<const float> logits_;
  double log_sum_ = 0;  // of the exponentials
};

// The token that was chosen from these logits, with the `n_top` likeliest.
GeneratedToken with_logprobs(std::span<const float> logits, int32_t token, size_t n_top);

}  // namespace longhaul
