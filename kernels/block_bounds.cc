// bounds_set and bounds_merge for every SIMD target: a vector holds dimensions of one block.
#include "kernels/block_bounds.h"

#include <cstring>

#include "kernels/block_bounds_layout.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/block_bounds.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/kv_tile_f16-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longhaul {
namespace HWY_NAMESPACE {

using DI = hn::Rebind<int32_t, DF>;
using DB = hn::Rebind<int8_t, DF>;

HWY_INLINE uint16_t ScaleOfBox(const float* HWY_RESTRICT lowest,
                               const float* HWY_RESTRICT highest) {
  const DF df;
  const DI di;
  auto largest = hn::Zero(di);  // magnitudes order like their bits
  for (size_t i = 0; i < kScaleDims; i += hn::Lanes(df)) {
    largest = hn::Max(largest, hn::BitCast(di, hn::Abs(hn::LoadU(df, lowest + i))));
    largest = hn::Max(largest, hn::BitCast(di, hn::Abs(hn::LoadU(df, highest + i))));
  }
  return bounds_scale(static_cast<uint32_t>(hn::GetLane(hn::MaxOfLanes(di, largest))));
}

// The least integer n with n * scale >= x; the products are exact.
HWY_INLINE VF StepsUp(VF x, VF scale) {
  const DF df;
  VF n = hn::Ceil(hn::Div(x, scale));
  // The quotient may have been rounded down to an integer.
  n = hn::Add(n, hn::IfThenElseZero(hn::Lt(hn::Mul(n, scale), x), hn::Set(df, 1.0F)));
  return hn::Min(hn::Max(n, hn::Set(df, -kBoundSteps)), hn::Set(df, kBoundSteps));
}

// 32 dimensions of a box in steps, plus 128.
struct Steps {
  HWY_ALIGN uint8_t max[kScaleDims];
  HWY_ALIGN uint8_t min[kScaleDims];
};

HWY_INLINE void ToBytes(VF steps, uint8_t* HWY_RESTRICT bytes) {
  const DB db;
  const auto small = hn::DemoteTo(db, hn::ConvertTo(DI(), steps));
  hn::Store(hn::Xor(small, hn::Set(db, int8_t{-128})), db, reinterpret_cast<int8_t*>(bytes));
}

HWY_INLINE void BoxSteps(const float* HWY_RESTRICT lowest, const float* HWY_RESTRICT highest,
                         uint16_t scale_bits, Steps& steps) {
  const DF df;
  if (scale_bits == 0) {
    std::memset(&steps, 128, sizeof(steps));
    return;
  }
  const VF scale = hn::Set(df, f16_to_f32(scale_bits));
  for (size_t i = 0; i < kScaleDims; i += hn::Lanes(df)) {
    ToBytes(StepsUp(hn::LoadU(df, highest + i), scale), steps.max + i);
    ToBytes(hn::Neg(StepsUp(hn::Neg(hn::LoadU(df, lowest + i)), scale)), steps.min + i);
  }
}

void SetBounds(std::byte* HWY_RESTRICT group, size_t lane, const float* HWY_RESTRICT lowest,
               const float* HWY_RESTRICT highest, size_t head_dim) {
  for (size_t dim = 0; dim < head_dim; dim += kScaleDims) {
    const uint16_t scale = ScaleOfBox(lowest + dim, highest + dim);
    Steps steps;
    BoxSteps(lowest + dim, highest + dim, scale, steps);
    for (size_t i = 0; i < kScaleDims; i += 4) {
      std::memcpy(group + bounds_max_offset(lane, dim + i), steps.max + i, 4);
      std::memcpy(group + bounds_min_offset(lane, dim + i), steps.min + i, 4);
    }
    std::memcpy(group + bounds_scale_offset(lane, dim / kScaleDims, head_dim), &scale,
                sizeof(scale));
  }
}

// into = the larger, or the smaller, of each byte.
template <bool kLarger>
HWY_INLINE void Widen(uint8_t* HWY_RESTRICT into, const uint8_t* HWY_RESTRICT other) {
  const hn::CappedTag<uint8_t, kScaleDims> du;
  for (size_t i = 0; i < kScaleDims; i += hn::Lanes(du)) {
    const auto a = hn::Load(du, into + i);
    const auto b = hn::Load(du, other + i);
    hn::Store(kLarger ? hn::Max(a, b) : hn::Min(a, b), du, into + i);
  }
}

bool MergeBounds(std::byte* HWY_RESTRICT group, size_t lane, const float* HWY_RESTRICT lowest,
                 const float* HWY_RESTRICT highest, size_t head_dim) {
  uint16_t scales[kMaxHeadDim / kScaleDims];
  for (size_t dim = 0; dim < head_dim; dim += kScaleDims) {
    uint16_t& scale = scales[dim / kScaleDims];
    std::memcpy(&scale, group + bounds_scale_offset(lane, dim / kScaleDims, head_dim),
                sizeof(scale));
    if (ScaleOfBox(lowest + dim, highest + dim) > scale) return false;  // bits order like values
  }
  for (size_t dim = 0; dim < head_dim; dim += kScaleDims) {
    Steps steps;
    Steps old;
    BoxSteps(lowest + dim, highest + dim, scales[dim / kScaleDims], steps);
    for (size_t i = 0; i < kScaleDims; i += 4) {
      std::memcpy(old.max + i, group + bounds_max_offset(lane, dim + i), 4);
      std::memcpy(old.min + i, group + bounds_min_offset(lane, dim + i), 4);
    }
    Widen<true>(steps.max, old.max);
    Widen<false>(steps.min, old.min);
    for (size_t i = 0; i < kScaleDims; i += 4) {
      std::memcpy(group + bounds_max_offset(lane, dim + i), steps.max + i, 4);
      std::memcpy(group + bounds_min_offset(lane, dim + i), steps.min + i, 4);
    }
  }
  return true;
}

}  // namespace HWY_NAMESPACE
}  // namespace longhaul
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longhaul {

HWY_EXPORT(SetBounds);
HWY_EXPORT(MergeBounds);

size_t bounds_group_bytes(size_t head_dim) {
  constexpr size_t kAlignment = 64;
  const size_t n_bytes = bounds_scale_offset(0, head_dim / kScaleDims, head_dim);
  return (n_bytes + kAlignment - 1) / kAlignment * kAlignment;
}

void bounds_set(std::byte* group, size_t lane, const float* lowest, const float* highest,
                size_t head_dim) {
  HWY_DYNAMIC_DISPATCH(SetBounds)(group, lane, lowest, highest, head_dim);
}

bool bounds_merge(std::byte* group, size_t lane, const float* lowest, const float* highest,
                  size_t head_dim) {
  return HWY_DYNAMIC_DISPATCH(MergeBounds)(group, lane, lowest, highest, head_dim);
}

void bounds_read(const std::byte* group, size_t lane, float* lowest, float* highest,
                 size_t head_dim) {
  for (size_t dim = 0; dim < head_dim; ++dim) {
    uint16_t scale_bits;
    std::memcpy(&scale_bits, group + bounds_scale_offset(lane, dim / kScaleDims, head_dim),
                sizeof(scale_bits));
    const float scale = f16_to_f32(scale_bits);
    const size_t quad = dim / 4 * 4;
    const auto max = std::to_integer<int>(group[bounds_max_offset(lane, quad) + dim % 4]);
    const auto min = std::to_integer<int>(group[bounds_min_offset(lane, quad) + dim % 4]);
    highest[dim] = static_cast<float>(max - 128) * scale;
    lowest[dim] = static_cast<float>(min - 128) * scale;
  }
}

}  // namespace longhaul
#endif  // HWY_ONCE
