// top_k: a sample brackets the threshold, one pass keeps the scores inside the bracket, a binary
// search over the bits of the threshold finds it among them (each step one SIMD count of the scores
// at or above it), one pass collects. Where the sample misleads, the search counts all scores.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
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
HWY_INLINE uint32_t KeyOfFloat(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  return (bits >> 31) != 0 ? ~bits : bits | 0x80000000U;
}
HWY_INLINE float FloatOfKey(uint32_t key) {
  return std::bit_cast<float>((key >> 31) != 0 ? key & 0x7FFFFFFFU : ~key);
}

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The n_select-th highest score, which lies in [low, high]. Stops early at any value that parts
// n_select scores from the others.
HWY_INLINE Threshold FindThreshold(const float* HWY_RESTRICT x, size_t size, size_t n_select,
                                   float low = -kInfinity, float high = kInfinity) {
  uint32_t key = KeyOfFloat(low);
  uint32_t end = KeyOfFloat(high) + 1;  // at least n_select reach key, fewer reach end
  while (end - key > 1) {
    const uint32_t middle = key + (end - key) / 2;
    const size_t count = CountAtLeast(x, size, FloatOfKey(middle));
    if (count == n_select) return {FloatOfKey(middle), n_select};
    (count > n_select ? key : end) = middle;
  }
  const size_t n_above = CountAtLeast(x, size, FloatOfKey(end));  // 0 if that is NaN
  return {FloatOfKey(key), n_select - n_above};
}

constexpr size_t kLeastSampled = 1024;  // scores; fewer are searched as they are
constexpr size_t kMostSamples = 1024;
constexpr size_t kMostInside = 8192;

// Two scores between which the threshold is expected, and what a pass over all scores found: how
// many are at least `high`, and those from `low` to below `high`.
struct Bracket {
  float low = -kInfinity;
  float high = kInfinity;
  size_t n_above = 0;
  size_t n_inside = 0;
  HWY_ALIGN float inside[kMostInside + hn::MaxLanes(Tag())];
};

// From an even sample: three standard deviations of the threshold's rank in it to either side.
HWY_INLINE void ChooseBracket(const float* HWY_RESTRICT x, size_t size, size_t n_select,
                              Bracket& bracket) {
  HWY_ALIGN float sample[kMostSamples];
  const size_t n_samples = HWY_MIN(size / 16, kMostSamples);
  const size_t step = size / n_samples;
  for (size_t i = 0; i < n_samples; ++i) sample[i] = x[i * step];
  const double share = static_cast<double>(n_select) / static_cast<double>(size);
  const double rank = share * static_cast<double>(n_samples);
  const double spread = 3.0 * std::sqrt(rank * (1.0 - share)) + 1.0;
  if (rank - spread >= 1.0) {
    bracket.high = FindThreshold(sample, n_samples, static_cast<size_t>(rank - spread)).value;
  }
  const auto low_rank = static_cast<size_t>(rank + spread) + 1;
  if (low_rank <= n_samples) {
    bracket.low = FindThreshold(sample, n_samples, low_rank, -kInfinity, bracket.high).value;
  }
}

// False if the bracket holds too many scores.
HWY_INLINE bool FillBracket(const float* HWY_RESTRICT x, size_t size, Bracket& bracket) {
  const Tag df;
  const size_t n = hn::Lanes(df);
  const auto low = hn::Set(df, bracket.low);
  const auto high = hn::Set(df, bracket.high);
  size_t i = 0;
  for (; i + n <= size && bracket.n_inside <= kMostInside; i += n) {
    const auto v = hn::LoadU(df, x + i);
    const auto is_inside = hn::And(hn::Ge(v, low), hn::Lt(v, high));
    bracket.n_above += hn::CountTrue(df, hn::Ge(v, high));
    hn::StoreU(hn::Compress(v, is_inside), df, bracket.inside + bracket.n_inside);
    bracket.n_inside += hn::CountTrue(df, is_inside);
  }
  for (; i < size && bracket.n_inside <= kMostInside; ++i) {
    bracket.n_above += x[i] >= bracket.high ? 1 : 0;
    if (x[i] >= bracket.low && x[i] < bracket.high) bracket.inside[bracket.n_inside++] = x[i];
  }
  return bracket.n_inside <= kMostInside;
}

HWY_INLINE Threshold FindThresholdBySample(const float* HWY_RESTRICT x, size_t size,
                                           size_t n_select) {
  if (size < kLeastSampled) return FindThreshold(x, size, n_select);
  Bracket bracket;
  ChooseBracket(x, size, n_select, bracket);
  const bool holds = FillBracket(x, size, bracket) && bracket.n_above < n_select &&
                     n_select <= bracket.n_above + bracket.n_inside;
  if (!holds) return FindThreshold(x, size, n_select);
  return FindThreshold(bracket.inside, bracket.n_inside, n_select - bracket.n_above, bracket.low,
                       bracket.high);
}

// Writes the indices of the selection among the `size` scores from `first` on; `n` counts those
// written so far.
HWY_INLINE void Collect(const float* HWY_RESTRICT x, size_t first, size_t size,
                        Threshold& threshold, uint32_t* HWY_RESTRICT ids, size_t& n) {
  for (size_t i = first; i < first + size; ++i) {
    if (x[i] < threshold.value || (x[i] == threshold.value && threshold.n_ties == 0)) continue;
    if (x[i] == threshold.value) --threshold.n_ties;
    ids[n++] = static_cast<uint32_t>(i);
  }
}

void TopK(const float* HWY_RESTRICT x, size_t size, size_t n_select, uint32_t* HWY_RESTRICT ids) {
  Threshold threshold = FindThresholdBySample(x, size, n_select);
  const Tag df;
  const hn::RebindToUnsigned<Tag> du;
  const size_t lanes = hn::Lanes(df);
  const auto value = hn::Set(df, threshold.value);
  HWY_ALIGN uint32_t few[hn::MaxLanes(du)];
  auto indices = hn::Iota(du, 0);
  size_t n = 0;
  size_t first = 0;
  for (; first + lanes <= size && n < n_select; first += lanes) {
    const auto v = hn::LoadU(df, x + first);
    const auto is_selected = hn::Ge(v, value);
    const size_t n_equal = hn::CountTrue(df, hn::Eq(v, value));
    const auto selected = hn::Compress(indices, hn::RebindMask(du, is_selected));
    indices = hn::Add(indices, hn::Set(du, static_cast<uint32_t>(lanes)));
    if (n_equal > threshold.n_ties) {
      Collect(x, first, lanes, threshold, ids, n);
      continue;
    }
    threshold.n_ties -= n_equal;
    const size_t n_more = hn::CountTrue(df, is_selected);
    if (n + lanes <= n_select) {
      hn::StoreU(selected, du, ids + n);  // beyond them too; overwritten by the next
    } else {
      hn::Store(selected, du, few);
      std::copy_n(few, n_more, ids + n);
    }
    n += n_more;
  }
  Collect(x, first, n < n_select ? size - first : 0, threshold, ids, n);
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
