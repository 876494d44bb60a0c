// A query as the scores of block descriptors need it. Included once per SIMD target (Highway).

#if defined(LONGHAUL_KERNELS_BLOCK_QUERY_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LONGHAUL_KERNELS_BLOCK_QUERY_INL_H_
#undef LONGHAUL_KERNELS_BLOCK_QUERY_INL_H_
#else
#define LONGHAUL_KERNELS_BLOCK_QUERY_INL_H_
#endif

#include <hwy/highway.h>

#include <cmath>
#include <cstring>

#include "kernels/block_bounds_layout.h"
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
  int32_t sum[kMaxHeadDim / kScaleDims];            // of q over 32 dimensions
  int32_t sum_magnitude[kMaxHeadDim / kScaleDims];  // likewise
  float scale[kMaxHeadDim / kScaleDims];
};

// To integers of at most `most`.
HWY_INLINE void RoundQuery(const float* HWY_RESTRICT q, size_t head_dim, float most, Query& query) {
  for (size_t chunk = 0; chunk < head_dim / kScaleDims; ++chunk) {
    float largest = 0.0F;
    bool finite = true;
    for (size_t i = chunk * kScaleDims; i < (chunk + 1) * kScaleDims; ++i) {
      finite &= std::isfinite(q[i]);
      largest = HWY_MAX(largest, std::fabs(q[i]));
    }
    const float steps = most / largest;
    const bool usable = finite && std::isfinite(steps);  // neither zero nor too small to divide by
    int32_t sum = 0;
    int32_t sum_magnitude = 0;
    for (size_t i = chunk * kScaleDims; i < (chunk + 1) * kScaleDims; ++i) {
      const auto n = usable ? static_cast<int32_t>(std::lrint(q[i] * steps)) : 0;
      const auto last = static_cast<int32_t>(most);
      query.q[i] = static_cast<int8_t>(HWY_MIN(HWY_MAX(n, -last), last));
      query.magnitude[i] = static_cast<int8_t>(std::abs(query.q[i]));
      sum += query.q[i];
      sum_magnitude += query.magnitude[i];
    }
    query.sum[chunk] = sum;
    query.sum_magnitude[chunk] = sum_magnitude;
    query.scale[chunk] = usable ? largest / most : 0.0F;
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

#endif  // LH_HAVE_VECTORS

}  // namespace HWY_NAMESPACE
}  // namespace longhaul
HWY_AFTER_NAMESPACE();

#endif  // LONGHAUL_KERNELS_BLOCK_QUERY_INL_H_
