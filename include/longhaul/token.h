// A token and how likely the model held it.
#pragma once

#include <cstdint>
#include <vector>

namespace longhaul {

// The logarithm of the token's share of the softmax, before penalties, biases and temperature.
struct TokenLogprob {
  int32_t token = 0;
  float logprob = 0;
};

// A token of a text, and the likeliest ones in its place, likeliest first.
struct GeneratedToken {
  TokenLogprob chosen;
  std::vector<TokenLogprob> top;
};

}  // namespace longhaul
