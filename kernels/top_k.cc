// top_k: a binary search over the bits of the threshold, each step one SIMD count of the scores at
// or above it, then one pass that collects. No sort, no scratch.
#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <numeric>

#include "kernels/block_bounds.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/top_k.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace longhaul {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::CappedTag<float, 64>;

// The scores from `threshold` on and the first n_ties of those equal to it are the selection.
struct Threshold {
  float value;
  size_t n_ties;
};

HWY_INLINE size_t CountAtLeast(const float* HWY_RESTRICT x, size_t size, float threshold) {
  const Tag df;
  const size_t n = hn::Lanes(df);
  const auto low = hn::Set(df, threshold);
  size_t count = 0;
  size_t i = 0;
  for (; i + 4 * n <= size; i += 4 * n) {
    count += hn::CountTrue(df, hn::Ge(hn::LoadU(df, x + i), low)) +
             hn::CountTrue(df, hn::Ge(hn::LoadU(df, x + i + n), low)) +
             hn::CountTrue(df, hn::Ge(hn::LoadU(df, x + i + 2 * n), low)) +
             hn::CountTrue(df, hn::Ge(hn::LoadU(df, x + i + 3 * n), low));
  }
  for (; i + n <= size; i += n) count += hn::CountTrue(df, hn::Ge(hn::LoadU(df, x + i), low));
  for (; i < size; ++i) count += x[i] >= threshold ? 1 : 0;
  return count;
}

// Integers that order like floats, and back.
constexpr uint32_t kMinusInfKey = 0x007FFFFFU;
HWY_INLINE float FloatOfKey(uint32_t key) {
  return std::bit_cast<float>((key >> 31) != 0 ? key & 0x7FFFFFFFU : ~key);
}

// The n_select-th highest score. Stops early at any value that parts n_select scores from the
// others.
HWY_INLINE Threshold FindThreshold(const float* HWY_RESTRICT x, size_t size, size_t n_select) {
  uint32_t key = 0;
  for (uint32_t bit = 1U << 31; bit != 0; bit >>= 1) {
    const uint32_t candidate = key | bit;
    const size_t count =
        candidate <= kMinusInfKey ? size : CountAtLeast(x, size, FloatOfKey(candidate));
    if (count == n_select) return {FloatOfKey(candidate), n_select};
    if (count > n_select) key = candidate;
  }
  const size_t n_above = CountAtLeast(x, size, FloatOfKey(key + 1));
  return {FloatOfKey(key), n_select - n_above};
}

// Bit i says whether x[i] >= threshold, for i < size, up to 64 lanes.
HWY_INLINE uint64_t MaskAtLeast(const float* HWY_RESTRICT x, size_t size, float threshold) {
  const Tag df;
  uint64_t bits = 0;
  if (size == hn::Lanes(df)) {
    uint8_t bytes[8] = {};
    hn::StoreMaskBits(df, hn::Ge(hn::LoadU(df, x), hn::Set(df, threshold)), bytes);
    std::memcpy(&bits, bytes, sizeof(bits));
    return bits;
  }
  for (size_t i = 0; i < size; ++i) bits |= uint64_t{x[i] >= threshold} << i;
  return bits;
}

void TopK(const float* HWY_RESTRICT x, size_t size, size_t n_select, uint32_t* HWY_RESTRICT ids) {
  const Threshold threshold = FindThreshold(x, size, n_select);
  const size_t lanes = hn::Lanes(Tag());
  size_t n_ties = threshold.n_ties;
  for (size_t first = 0, n = 0; n < n_select; first += lanes) {
    uint64_t bits = MaskAtLeast(x + first, std::min(lanes, size - first), threshold.value);
    for (; bits != 0 && n < n_select; bits &= bits - 1) {
      const size_t i = first + static_cast<size_t>(std::countr_zero(bits));
      if (x[i] == threshold.value && n_ties-- == 0) {
        n_ties = 0;
        continue;
      }
      ids[n++] = static_cast<uint32_t>(i);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace longhaul
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longhaul {

HWY_EXPORT(TopK);

void top_k(std::span<const float> scores, size_t n_select, uint32_t* ids) {
  if (n_select == 0) return;
  if (n_select == scores.size()) {
    std::iota(ids, ids + n_select, 0U);
    return;
  }
  HWY_DYNAMIC_DISPATCH(TopK)(scores.data(), scores.size(), n_select, ids);
}

}  // namespace longhaul
#endif  // HWY_ONCE
