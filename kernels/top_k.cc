// top_k: the value of the n-th highest score is found by three passes of counting over the digits
// of order-preserving integers (11 + 11 + 10 bits), then one pass collects what lies above it and
// the first ties at it.
#include <array>
#include <bit>
#include <cstring>
#include <numeric>

#include "kernels/block_bounds.h"

namespace longhaul {
namespace {

// Maps floats to integers of the same order; -0 and +0 are equal, as numbers are.
uint32_t order_key(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x + 0.0F);
  return (bits >> 31) != 0 ? ~bits : bits | 0x80000000U;
}

struct Threshold {
  uint32_t key;   // of the n-th highest score
  size_t n_ties;  // how many scores of exactly this key belong to the selection
};

Threshold find_threshold(std::span<const float> scores, size_t n_select) {
  struct Digit {
    int shift;
    int n_bits;
  };
  static constexpr std::array<Digit, 3> kDigits = {{{21, 11}, {10, 11}, {0, 10}}};
  uint32_t prefix = 0;
  size_t wanted = n_select;  // rank of the threshold among the scores that share the prefix
  for (const auto [shift, n_bits] : kDigits) {
    std::array<uint32_t, 1 << 11> counts{};
    const uint32_t mask = (1U << n_bits) - 1;
    const int above = shift + n_bits;
    for (const float score : scores) {
      const uint32_t key = order_key(score);
      if (above == 32 || (key ^ prefix) >> above == 0) ++counts[(key >> shift) & mask];
    }
    uint32_t digit = mask;
    while (counts[digit] < wanted) wanted -= counts[digit--];
    prefix |= digit << shift;
  }
  return {prefix, wanted};
}

}  // namespace

void top_k(std::span<const float> scores, size_t n_select, uint32_t* ids) {
  if (n_select == 0) return;
  if (n_select == scores.size()) {
    std::iota(ids, ids + n_select, 0U);
    return;
  }
  const Threshold threshold = find_threshold(scores, n_select);
  size_t n_ties = 0;
  size_t n = 0;
  for (size_t i = 0; n < n_select; ++i) {
    const uint32_t key = order_key(scores[i]);
    const bool tie = key == threshold.key && n_ties < threshold.n_ties;
    if (key > threshold.key || tie) ids[n++] = static_cast<uint32_t>(i);
    n_ties += tie;
  }
}

}  // namespace longhaul
