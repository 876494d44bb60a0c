// outlier_set for every SIMD target: a vector holds dimensions of one key.
#include "kernels/block_outlier.h"

#include <cmath>
#include <cstring>

#include "base/check.h"
#include "kernels/block_outlier_layout.h"
#include "kernels/hadamard.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/block_outlier.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/kv_tile_f16-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longhaul {
namespace HWY_NAMESPACE {

using DI = hn::Rebind<int32_t, DF>;

// The keys of a block.
struct Keys {
  const float* HWY_RESTRICT data;  // [n, head_dim]
  size_t n;
  size_t head_dim;

  HWY_INLINE VF at(size_t key, size_t dim) const {
    const DF df;
    const VF x = hn::LoadU(df, data + key * head_dim + dim);
    const VF limit = hn::Set(df, kLargestOutlierKey);
    return hn::IfThenElse(hn::Lt(hn::Abs(x), limit), x, hn::CopySign(limit, x));  // NaN is not less
  }
};

constexpr size_t kNone = ~size_t{0};

// mean[head_dim] of all keys but `without`.
HWY_INLINE void MeanOf(const Keys& keys, size_t without, float* HWY_RESTRICT mean) {
  const DF df;
  const size_t n = keys.n - (without == kNone ? 0 : 1);
  const VF share = hn::Set(df, 1.0F / static_cast<float>(n));
  for (size_t dim = 0; dim < keys.head_dim; dim += hn::Lanes(df)) {
    VF sum = hn::Zero(df);
    for (size_t key = 0; key < keys.n; ++key) {
      if (key != without) sum = hn::Add(sum, keys.at(key, dim));
    }
    hn::Store(hn::Mul(sum, share), df, mean + dim);
  }
}

// Sums over the dimensions of one key of (key - mean)^2, and of its square.
struct Distance {
  float squares = 0.0F;
  float fourths = 0.0F;
};

HWY_INLINE Distance DistanceOf(const Keys& keys, size_t key, const float* HWY_RESTRICT mean) {
  const DF df;
  VF squares = hn::Zero(df);
  VF fourths = hn::Zero(df);
  for (size_t dim = 0; dim < keys.head_dim; dim += hn::Lanes(df)) {
    const VF d = hn::Sub(keys.at(key, dim), hn::Load(df, mean + dim));
    const VF square = hn::Mul(d, d);
    squares = hn::Add(squares, square);
    fourths = hn::MulAdd(square, square, fourths);
  }
  return {hn::GetLane(hn::SumOfLanes(df, squares)), hn::GetLane(hn::SumOfLanes(df, fourths))};
}

HWY_INLINE size_t OutlierOf(const Keys& keys, const float* HWY_RESTRICT mean) {
  size_t outlier = 0;
  float most = -1.0F;
  for (size_t key = 0; key < keys.n; ++key) {
    const float unlike = DistanceOf(keys, key, mean).fourths;
    if (unlike > most) {
      most = unlike;
      outlier = key;
    }
  }
  return outlier;
}

HWY_INLINE float SpreadOf(const Keys& keys, size_t outlier, const float* HWY_RESTRICT mean) {
  float sum = 0.0F;
  for (size_t key = 0; key < keys.n; ++key) {
    if (key != outlier) sum += DistanceOf(keys, key, mean).squares;
  }
  constexpr float kLargestHalf = 65504.0F;
  const size_t n = (keys.n - 1) * keys.head_dim;
  return n == 0 ? 0.0F : HWY_MIN(std::sqrt(sum / static_cast<float>(n)), kLargestHalf);
}

HWY_INLINE void SetOrigin(const float* HWY_RESTRICT mean, size_t head_dim, std::byte* group) {
  for (size_t chunk = 0; chunk < head_dim / kScaleDims; ++chunk) {
    const float* x = mean + chunk * kScaleDims;
    float largest = 0.0F;
    for (size_t i = 0; i < kScaleDims; ++i) largest = HWY_MAX(largest, std::fabs(x[i]));
    const float step = f16_to_f32(bounds_step(largest, kLargestOriginCode));
    std::memcpy(group + bounds_origin_step_offset(chunk, head_dim), &step, sizeof(step));
    auto* codes =
        reinterpret_cast<int8_t*>(group + bounds_origin_offset(chunk * kScaleDims, head_dim));
    for (size_t i = 0; i < kScaleDims; ++i) {
      codes[i] = step == 0.0F ? int8_t{0} : static_cast<int8_t>(std::lrint(x[i] / step));
    }
  }
}

// 32 dimensions of a point, relative to the origin, to codes up to `most`; returns their step.
HWY_INLINE uint16_t Encode(const float* HWY_RESTRICT x, float most, uint8_t* HWY_RESTRICT codes) {
  const DF df;
  const hn::Rebind<uint8_t, DF> db;
  VF largest = hn::Zero(df);
  for (size_t i = 0; i < kScaleDims; i += hn::Lanes(df)) {
    largest = hn::Max(largest, hn::Abs(hn::Load(df, x + i)));
  }
  const uint16_t half = bounds_step(hn::GetLane(hn::MaxOfLanes(df, largest)), most);
  const VF per_step = hn::Set(df, half == 0 ? 0.0F : 0.5F / f16_to_f32(half));
  const VF last = hn::Set(df, most);
  for (size_t i = 0; i < kScaleDims; i += hn::Lanes(df)) {
    const VF steps = hn::MulAdd(hn::Load(df, x + i), per_step, hn::Set(df, most / 2));
    const VF code = hn::Min(hn::Max(hn::Round(steps), hn::Zero(df)), last);
    hn::Store(hn::DemoteTo(db, hn::ConvertTo(DI(), code)), db, codes + i);
  }
  return half;
}

void SetBlock(std::byte* HWY_RESTRICT group, size_t lane, const float* HWY_RESTRICT data,
              size_t n_keys, size_t head_dim) {
  const DF df;
  const Keys keys{data, n_keys, head_dim};
  HWY_ALIGN float mean[kMaxHeadDim];
  MeanOf(keys, kNone, mean);
  const size_t outlier = OutlierOf(keys, mean);
  if (n_keys > 1) MeanOf(keys, outlier, mean);
  const uint16_t spread = f32_to_f16(SpreadOf(keys, outlier, mean));
  std::memcpy(group + outlier_spread_offset(lane, head_dim), &spread, sizeof(spread));
  HWY_ALIGN float far[kMaxHeadDim];
  for (size_t dim = 0; dim < head_dim; dim += hn::Lanes(df))
    hn::Store(keys.at(outlier, dim), df, far + dim);
  rotate_dims(mean, head_dim);
  rotate_dims(far, head_dim);
  if (lane == 0) SetOrigin(mean, head_dim, group);
  for (size_t chunk = 0; chunk < head_dim / kScaleDims; ++chunk) {
    HWY_ALIGN float points[2][kScaleDims];
    HWY_ALIGN uint8_t codes[2][kScaleDims];
    float step;
    std::memcpy(&step, group + bounds_origin_step_offset(chunk, head_dim), sizeof(step));
    const size_t first = chunk * kScaleDims;
    const auto* origin =
        reinterpret_cast<const int8_t*>(group + bounds_origin_offset(first, head_dim));
    const hn::Rebind<int8_t, DF> db;
    for (size_t i = 0; i < kScaleDims; i += hn::Lanes(df)) {
      const VF steps = hn::ConvertTo(df, hn::PromoteTo(DI(), hn::LoadU(db, origin + i)));
      const VF from = hn::Mul(steps, hn::Set(df, step));
      hn::Store(hn::Sub(hn::Load(df, mean + first + i), from), df, points[0] + i);
      hn::Store(hn::Sub(hn::Load(df, far + first + i), from), df, points[1] + i);
    }
    const uint16_t mean_step = Encode(points[0], kLastMeanCode, codes[0]);
    const uint16_t outlier_step = Encode(points[1], kLastOutlierCode, codes[1]);
    std::memcpy(group + bounds_centre_step_offset(lane, chunk), &mean_step, 2);
    std::memcpy(group + bounds_radius_step_offset(lane, chunk), &outlier_step, 2);
    for (size_t i = 0; i < kScaleDims; ++i)
      codes[0][i] |= static_cast<uint8_t>(codes[1][i] << kMeanBits);
    for (size_t i = 0; i < kScaleDims; i += 4) {
      std::memcpy(group + outlier_codes_offset(lane, first + i, head_dim), codes[0] + i, 4);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace longhaul
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longhaul {

HWY_EXPORT(SetBlock);

size_t outlier_group_bytes(size_t head_dim) { return outlier_codes_offset(0, head_dim, head_dim); }

void outlier_set(std::byte* group, size_t lane, const float* keys, size_t n_keys, size_t head_dim) {
  LH_DCHECK(n_keys > 0 && head_dim <= kMaxHeadDim);
  HWY_DYNAMIC_DISPATCH(SetBlock)(group, lane, keys, n_keys, head_dim);
}

}  // namespace longhaul
#endif  // HWY_ONCE
