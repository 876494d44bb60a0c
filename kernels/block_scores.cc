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

constexpr size_t kChunkQuads = kScaleDims / 4;
constexpr size_t kBytesAhead = 10240;  // fetched before they are scored; 5 KB were half as fast

// A query in 8-bit integers, and their magnitudes.
struct Query {
  HWY_ALIGN int8_t q[kMaxHeadDim];
  HWY_ALIGN int8_t magnitude[kMaxHeadDim];
  int32_t centre_start[kMaxHeadDim / kScaleDims];  // of the sums: takes back the 15 in every centre
  int32_t radius_start[kMaxHeadDim / kScaleDims];  // adds the floor of every radius
  float scale[kMaxHeadDim / kScaleDims];
};

HWY_INLINE void RoundQuery(const float* HWY_RESTRICT q, size_t head_dim, Query& query) {
  constexpr float kLargest = 127.0F;
  for (size_t chunk = 0; chunk < head_dim / kScaleDims; ++chunk) {
    float largest = 0.0F;
    bool finite = true;
    for (size_t i = chunk * kScaleDims; i < (chunk + 1) * kScaleDims; ++i) {
      finite &= std::isfinite(q[i]);
      largest = HWY_MAX(largest, std::fabs(q[i]));
    }
    const float steps = kLargest / largest;
    const bool usable = finite && std::isfinite(steps);  // neither zero nor too small to divide by
    int32_t sum = 0;
    int32_t sum_magnitude = 0;
    for (size_t i = chunk * kScaleDims; i < (chunk + 1) * kScaleDims; ++i) {
      const auto n = usable ? static_cast<int32_t>(std::lrint(q[i] * steps)) : 0;
      query.q[i] = static_cast<int8_t>(HWY_MIN(HWY_MAX(n, -127), 127));
      query.magnitude[i] = static_cast<int8_t>(std::abs(query.q[i]));
      sum += query.q[i];
      sum_magnitude += query.magnitude[i];
    }
    query.centre_start[chunk] = -15 * sum;
    query.radius_start[chunk] = kRadiusFloor * sum_magnitude;
    query.scale[chunk] = usable ? largest / kLargest : 0.0F;
  }
}

HWY_INLINE float OriginStep(const std::byte* group, size_t chunk, size_t head_dim) {
  float step;
  std::memcpy(&step, group + bounds_origin_step_offset(chunk, head_dim), sizeof(step));
  return step;
}

#if LH_HAVE_VECTORS

using DI = hn::Rebind<int32_t, DF>;
using VI = hn::Vec<DI>;

// q . origin.
HWY_INLINE float OriginScore(const std::byte* HWY_RESTRICT group, const Query& query,
                             size_t head_dim) {
  const DF df;
  const DI di;
  const hn::Repartition<int16_t, DI> dw;
  const hn::Rebind<int8_t, decltype(dw)> db;
  const auto* origin = reinterpret_cast<const int8_t*>(group + bounds_origin_offset(0, head_dim));
  VF total = hn::Zero(df);
  for (size_t chunk = 0; chunk < head_dim / kScaleDims; ++chunk) {
    VI sums = hn::Zero(di);
    for (size_t i = 0; i < kScaleDims; i += hn::Lanes(dw)) {
      const size_t dim = chunk * kScaleDims + i;
      const auto o = hn::PromoteTo(dw, hn::LoadU(db, origin + dim));
      sums = hn::Add(sums, mul_pairs(di, o, hn::PromoteTo(dw, hn::LoadU(db, query.q + dim))));
    }
    const float scale = OriginStep(group, chunk, head_dim) * query.scale[chunk];
    total = hn::MulAdd(hn::ConvertTo(df, sums), hn::Set(df, scale), total);
  }
  return hn::GetLane(hn::SumOfLanes(df, total));
}

// The 4 elements of the query from `q` on, in every lane.
HWY_INLINE hn::Vec<hn::Repartition<int8_t, DI>> Quad(const int8_t* q) {
  int32_t bits;
  hwy::CopyBytes<4>(q, &bits);
  return hn::BitCast(hn::Repartition<int8_t, DI>(), hn::Set(DI(), bits));
}

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
  centre = hn::Add(centre, hn::Set(di, query.centre_start[chunk]));
  radius = hn::Add(mul_pairs(di, radii, hn::Set(dw, int16_t{1})),
                   hn::Set(di, query.radius_start[chunk]));
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
  int32_t centre = query.centre_start[chunk];
  int32_t radius = query.radius_start[chunk];
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
  RoundQuery(q, bounds.head_dim, query);
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
