// score_blocks for every SIMD target: lane = block. The sums over the 32 dimensions of a scale are
// exact integers.
#include <hwy/cache_control.h>

#include "kernels/block_bounds.h"
#include "kernels/block_bounds_layout.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/block_scores.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/block_query-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longhaul {
namespace HWY_NAMESPACE {
#if LH_HAVE_VECTORS

// The integer sums of 32 dimensions for the blocks of a vector; `rows` points to their first bytes.
// Meanwhile fetches as many bytes from `ahead`: in one go they would wait for each other.
HWY_INLINE void ChunkSums(const std::byte* HWY_RESTRICT rows, const std::byte* HWY_RESTRICT ahead,
                          const Query& query, size_t chunk, VI& centre, VI& radius) {
  const DI di;
  const hn::Repartition<int16_t, DI> dw;
  const hn::Repartition<uint16_t, DI> duw;
  const hn::Repartition<uint8_t, DI> db;
  const auto nibbles = hn::Set(db, uint8_t{15});
  // 16 bits hold the products of 16 dimensions: 16 * 127 * 15.
  auto centres = hn::Zero(dw);
  auto radii = hn::Zero(dw);
  LH_UNROLL for (size_t i = 0; i < kChunkQuads; ++i) {
    hwy::Prefetch(ahead + i * kBoundsRowBytes);
    const auto* row = reinterpret_cast<const int32_t*>(rows + i * kBoundsRowBytes);
    const auto codes = hn::BitCast(duw, hn::LoadU(di, row));
    const auto c = hn::And(hn::BitCast(db, codes), nibbles);
    const auto r = hn::And(hn::BitCast(db, hn::ShiftRight<4>(codes)), nibbles);
    const size_t dim = chunk * kScaleDims + i * 4;
    centres = hn::Add(centres, multiply_bytes(dw, c, Quad(query.q + dim)));
    radii = hn::Add(radii, multiply_bytes(dw, r, Quad(query.magnitude + dim)));
  }
  centre = mul_pairs(di, centres, hn::Set(dw, int16_t{2}));
  centre = hn::Add(centre, hn::Set(di, -15 * query.sum[chunk]));
  radius = hn::Add(mul_pairs(di, radii, hn::Set(dw, int16_t{1})),
                   hn::Set(di, kRadiusFloor * query.sum_magnitude[chunk]));
}

// scores[16] of one group; `ahead` is one that will be wanted soon.
HWY_INLINE void ScoreGroup(const std::byte* HWY_RESTRICT group, const std::byte* ahead,
                           const Query& query, size_t head_dim, float* HWY_RESTRICT scores) {
  const DF df;
  const size_t chunk_bytes = kScaleDims * kBoundsGroupBlocks;
  const size_t codes = bounds_codes_offset(0, 0, head_dim);
  for (size_t i = 0; i < codes; i += 64) hwy::Prefetch(ahead + i);
  const VF origin = hn::Set(df, OriginScore(group, query, head_dim));
  for (size_t lane = 0; lane < kBoundsGroupBlocks; lane += hn::Lanes(df)) {
    VF total = origin;
    for (size_t chunk = 0; chunk < head_dim / kScaleDims; ++chunk) {
      VI centre;
      VI radius;
      const size_t rows = codes + chunk * chunk_bytes;
      ChunkSums(group + rows + lane * 4, ahead + rows, query, chunk, centre, radius);
      const VF scale = hn::Set(df, query.scale[chunk]);
      const VF centre_step = LoadHalf(group + bounds_centre_step_offset(lane, chunk));
      const VF radius_step = LoadHalf(group + bounds_radius_step_offset(lane, chunk));
      total = hn::MulAdd(hn::ConvertTo(df, centre), hn::Mul(centre_step, scale), total);
      total = hn::MulAdd(hn::ConvertTo(df, radius), hn::Mul(radius_step, scale), total);
    }
    hn::StoreU(total, df, scores + lane);
  }
}

#else  // !LH_HAVE_VECTORS

HWY_INLINE float ChunkScore(const std::byte* group, size_t lane, const Query& query, size_t chunk,
                            size_t head_dim) {
  int32_t origin = 0;
  int32_t centre = -15 * query.sum[chunk];
  int32_t radius = kRadiusFloor * query.sum_magnitude[chunk];
  for (size_t i = 0; i < kScaleDims; ++i) {
    const size_t dim = chunk * kScaleDims + i;
    const int32_t q = query.q[dim];
    const auto codes = group[bounds_codes_offset(lane, dim / 4 * 4, head_dim) + dim % 4];
    origin += q * static_cast<int8_t>(group[bounds_origin_offset(dim, head_dim)]);
    centre += 2 * q * std::to_integer<int32_t>(codes & std::byte{15});
    radius += query.magnitude[dim] * std::to_integer<int32_t>(codes >> 4);
  }
  const float centre_step = read_f16(group + bounds_centre_step_offset(lane, chunk));
  const float radius_step = read_f16(group + bounds_radius_step_offset(lane, chunk));
  return (OriginStep(group, chunk, head_dim) * static_cast<float>(origin) +
          centre_step * static_cast<float>(centre) + radius_step * static_cast<float>(radius)) *
         query.scale[chunk];
}

HWY_INLINE void ScoreGroup(const std::byte* group, const std::byte* /*ahead*/, const Query& query,
                           size_t head_dim, float* scores) {
  for (size_t lane = 0; lane < kBoundsGroupBlocks; ++lane) {
    scores[lane] = 0.0F;
    for (size_t chunk = 0; chunk < head_dim / kScaleDims; ++chunk) {
      scores[lane] += ChunkScore(group, lane, query, chunk, head_dim);
    }
  }
}

#endif  // LH_HAVE_VECTORS

void ScoreBlocks(const BoundsView& bounds, const float* HWY_RESTRICT q,
                 float* HWY_RESTRICT scores) {
  Query query;
  RoundQuery(q, bounds.head_dim, 127.0F, query);
  const size_t n_groups = (bounds.n_blocks + kBoundsGroupBlocks - 1) / kBoundsGroupBlocks;
  const size_t groups_ahead = kBytesAhead / bounds_group_bytes(bounds.head_dim);
  for (size_t g = 0; g < n_groups; ++g) {
    const std::byte* group = bounds.base + bounds.pages[g] * bounds.page_stride;
    const size_t later = HWY_MIN(g + groups_ahead, n_groups - 1);
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
