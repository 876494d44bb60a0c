// score_blocks for every SIMD target: lane = block. The sums over the 32 dimensions of a scale are
// exact integers.
#include <hwy/cache_control.h>

#include <cmath>
#include <cstring>

#include "kernels/block_bounds.h"
#include "kernels/block_bounds_layout.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/block_scores.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/kv_tile_f16-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longhaul {
namespace HWY_NAMESPACE {
#include "kernels/hwy_compat-inl.h"

constexpr size_t kMaxQuads = kMaxHeadDim / 4;
constexpr size_t kChunkQuads = kScaleDims / 4;
constexpr size_t kGroupsAhead = 2;  // fetched before they are scored

// A query in 16-bit integers. Of each 4 dimensions the even two and the odd two share a word, as
// the products want them; `below` has ones in the bytes of negative ones, which take the minimum.
struct Query {
  uint32_t below[kMaxQuads];
  uint32_t even[kMaxQuads];
  uint32_t odd[kMaxQuads];
  int32_t start[kMaxHeadDim / kScaleDims];  // takes back the 128 in every bound
  float scale[kMaxHeadDim / kScaleDims];
};

HWY_INLINE void RoundQuery(const float* HWY_RESTRICT q, size_t head_dim, Query& query) {
  constexpr float kLargest = 32767.0F;
  for (size_t chunk = 0; chunk < head_dim / kScaleDims; ++chunk) {
    const float* x = q + chunk * kScaleDims;
    float largest = 0.0F;
    bool finite = true;
    for (size_t i = 0; i < kScaleDims; ++i) {
      finite &= std::isfinite(x[i]);
      largest = HWY_MAX(largest, std::fabs(x[i]));
    }
    const float steps = kLargest / largest;
    const bool usable = finite && std::isfinite(steps);  // neither zero nor too small to divide by
    int32_t sum = 0;
    for (size_t i = 0; i < kScaleDims; i += 4) {
      int32_t n[4];
      uint32_t below = 0;
      for (size_t j = 0; j < 4; ++j) {
        n[j] = usable ? static_cast<int32_t>(std::lrint(x[i + j] * steps)) : 0;
        n[j] = HWY_MIN(HWY_MAX(n[j], -32767), 32767);
        below |= n[j] < 0 ? 0xFFU << (8 * j) : 0U;
        sum += n[j];
      }
      const size_t quad = chunk * kChunkQuads + i / 4;
      query.below[quad] = below;
      query.even[quad] = (static_cast<uint32_t>(n[0]) & 0xFFFFU) | static_cast<uint32_t>(n[2])
                                                                       << 16;
      query.odd[quad] = (static_cast<uint32_t>(n[1]) & 0xFFFFU) | static_cast<uint32_t>(n[3]) << 16;
    }
    query.start[chunk] = -128 * sum;
    query.scale[chunk] = usable ? largest / kLargest : 0.0F;
  }
}

#if LH_HAVE_VECTORS

using DI = hn::Rebind<int32_t, DF>;

// The integer sums of 32 dimensions for the blocks of a vector; `rows` points to their first bytes.
// Meanwhile fetches as many bytes from `ahead`: in one go they would wait for each other.
HWY_INLINE hn::Vec<DI> ChunkSums(const std::byte* HWY_RESTRICT rows,
                                 const std::byte* HWY_RESTRICT ahead, const Query& query,
                                 size_t chunk) {
  const DI di;
  const hn::Repartition<int16_t, DI> dw;
  const hn::Repartition<uint16_t, DI> duw;
  auto even = hn::Set(di, query.start[chunk]);
  auto odd = hn::Zero(di);
  const size_t first = chunk * kChunkQuads;
  LH_UNROLL for (size_t i = 0; i < kChunkQuads; ++i) {
    const auto* row = reinterpret_cast<const int32_t*>(rows + i * 2 * kBoundsRowBytes);
    hwy::Prefetch(ahead + i * 2 * kBoundsRowBytes);
    hwy::Prefetch(ahead + (i * 2 + 1) * kBoundsRowBytes);
    const auto max = hn::LoadU(di, row);
    const auto min = hn::LoadU(di, row + kBoundsGroupBlocks);
    const auto below = hn::Set(di, static_cast<int32_t>(query.below[first + i]));
    const auto bytes = hn::BitCast(duw, hn::IfVecThenElse(below, min, max));
    const auto q_even = hn::Set(di, static_cast<int32_t>(query.even[first + i]));
    const auto q_odd = hn::Set(di, static_cast<int32_t>(query.odd[first + i]));
    const auto low = hn::BitCast(dw, hn::And(bytes, hn::Set(duw, uint16_t{0xFF})));
    const auto high = hn::BitCast(dw, hn::ShiftRight<8>(bytes));
    even = hn::Add(even, mul_pairs(di, low, hn::BitCast(dw, q_even)));
    odd = hn::Add(odd, mul_pairs(di, high, hn::BitCast(dw, q_odd)));
  }
  return hn::Add(even, odd);
}

// scores[16] of one group; `ahead` is one that will be wanted soon.
HWY_INLINE void ScoreGroup(const std::byte* HWY_RESTRICT group, const std::byte* ahead,
                           const Query& query, size_t head_dim, float* HWY_RESTRICT scores) {
  const DF df;
  const size_t chunk_bytes = kScaleDims * 2 * kBoundsGroupBlocks;
  const size_t scales = bounds_scale_offset(0, 0, head_dim);
  for (size_t i = scales; i < bounds_group_bytes(head_dim); i += 64) hwy::Prefetch(ahead + i);
  for (size_t lane = 0; lane < kBoundsGroupBlocks; lane += hn::Lanes(df)) {
    VF total = hn::Zero(df);
    for (size_t chunk = 0; chunk < head_dim / kScaleDims; ++chunk) {
      const auto sums = ChunkSums(group + chunk * chunk_bytes + lane * 4,
                                  ahead + chunk * chunk_bytes, query, chunk);
      const VF scale = LoadHalf(group + bounds_scale_offset(lane, chunk, head_dim));
      total = hn::MulAdd(hn::ConvertTo(df, sums), hn::Mul(scale, hn::Set(df, query.scale[chunk])),
                         total);
    }
    hn::StoreU(total, df, scores + lane);
  }
}

#else  // !LH_HAVE_VECTORS

HWY_INLINE int32_t ChunkSum(const std::byte* group, size_t lane, const Query& query, size_t chunk) {
  int32_t sum = query.start[chunk];
  for (size_t i = 0; i < kScaleDims; ++i) {
    const size_t dim = chunk * kScaleDims + i;
    const size_t quad = dim / 4;
    const bool below = (query.below[quad] >> (i % 4 * 8) & 1U) != 0;
    const size_t at = below ? bounds_min_offset(lane, quad * 4) : bounds_max_offset(lane, quad * 4);
    const uint32_t pair = i % 2 == 0 ? query.even[quad] : query.odd[quad];
    const auto q = static_cast<int16_t>(pair >> (i % 4 / 2 * 16) & 0xFFFFU);
    sum += q * std::to_integer<int32_t>(group[at + i % 4]);
  }
  return sum;
}

HWY_INLINE void ScoreGroup(const std::byte* group, const std::byte* /*ahead*/, const Query& query,
                           size_t head_dim, float* scores) {
  for (size_t lane = 0; lane < kBoundsGroupBlocks; ++lane) {
    float total = 0.0F;
    for (size_t chunk = 0; chunk < head_dim / kScaleDims; ++chunk) {
      uint16_t scale;
      std::memcpy(&scale, group + bounds_scale_offset(lane, chunk, head_dim), sizeof(scale));
      total += static_cast<float>(ChunkSum(group, lane, query, chunk)) *
               (f16_to_f32(scale) * query.scale[chunk]);
    }
    scores[lane] = total;
  }
}

#endif  // LH_HAVE_VECTORS

void ScoreBlocks(const BoundsView& bounds, const float* HWY_RESTRICT q,
                 float* HWY_RESTRICT scores) {
  Query query;
  RoundQuery(q, bounds.head_dim, query);
  const size_t n_groups = (bounds.n_blocks + kBoundsGroupBlocks - 1) / kBoundsGroupBlocks;
  for (size_t g = 0; g < n_groups; ++g) {
    const std::byte* group = bounds.base + bounds.pages[g] * bounds.page_stride;
    const size_t later = HWY_MIN(g + kGroupsAhead, n_groups - 1);
    const std::byte* ahead = bounds.base + bounds.pages[later] * bounds.page_stride;
    const size_t first = g * kBoundsGroupBlocks;
    if (first + kBoundsGroupBlocks <= bounds.n_blocks) {
      ScoreGroup(group, ahead, query, bounds.head_dim, scores + first);
    } else {
      HWY_ALIGN float last[kBoundsGroupBlocks];
      ScoreGroup(group, ahead, query, bounds.head_dim, last);
      for (size_t i = first; i < bounds.n_blocks; ++i) scores[i] = last[i - first];
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace longhaul
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longhaul {

HWY_EXPORT(ScoreBlocks);

void score_blocks(const BoundsView& bounds, const float* q, float* scores) {
  HWY_DYNAMIC_DISPATCH(ScoreBlocks)(bounds, q, scores);
}

}  // namespace longhaul
#endif  // HWY_ONCE
