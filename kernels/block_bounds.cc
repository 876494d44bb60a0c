// bounds_set for every SIMD target: a vector holds dimensions of one block.
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

// 32 dimensions.
struct Box {
  HWY_ALIGN float lowest[kScaleDims];
  HWY_ALIGN float highest[kScaleDims];
};

HWY_INLINE VF Bounded(VF x) {
  const DF df;
  const VF limit = hn::Set(df, kLargestKey);
  return hn::IfThenElse(hn::Lt(hn::Abs(x), limit), x, hn::CopySign(limit, x));  // NaN is not less
}

HWY_INLINE VF Middle(const Box& box, size_t i) {
  const DF df;
  return hn::Mul(hn::Set(df, 0.5F),
                 hn::Add(hn::Load(df, box.lowest + i), hn::Load(df, box.highest + i)));
}

HWY_INLINE void SetOrigin(const Box& box, int8_t* HWY_RESTRICT codes, std::byte* step_at) {
  const DF df;
  const hn::Rebind<int8_t, DF> db;
  HWY_ALIGN float origin[kScaleDims];
  VF largest = hn::Zero(df);
  for (size_t i = 0; i < kScaleDims; i += hn::Lanes(df)) {
    const VF middle = Middle(box, i);
    const VF spread = hn::Sub(hn::Load(df, box.highest + i), hn::Load(df, box.lowest + i));
    const VF far = hn::IfThenElseZero(hn::Gt(hn::Abs(middle), spread), middle);
    hn::Store(far, df, origin + i);
    largest = hn::Max(largest, hn::Abs(far));
  }
  const uint16_t half = bounds_step(hn::GetLane(hn::MaxOfLanes(df, largest)), kLargestOriginCode);
  const float step = f16_to_f32(half);
  std::memcpy(step_at, &step, sizeof(step));
  const VF per_step = hn::Set(df, half == 0 ? 0.0F : 1.0F / step);
  for (size_t i = 0; i < kScaleDims; i += hn::Lanes(df)) {
    const VF code = hn::Round(hn::Mul(hn::Load(df, origin + i), per_step));
    hn::StoreU(hn::DemoteTo(db, hn::ConvertTo(DI(), code)), db, codes + i);
  }
}

HWY_INLINE void SubtractOrigin(const int8_t* HWY_RESTRICT codes, const std::byte* step_at,
                               Box& box) {
  const DF df;
  const hn::Rebind<int8_t, DF> db;
  float step;
  std::memcpy(&step, step_at, sizeof(step));
  for (size_t i = 0; i < kScaleDims; i += hn::Lanes(df)) {
    const VF code = hn::ConvertTo(df, hn::PromoteTo(DI(), hn::LoadU(db, codes + i)));
    const VF origin = hn::Mul(code, hn::Set(df, step));  // exact
    hn::Store(hn::Sub(hn::Load(df, box.lowest + i), origin), df, box.lowest + i);
    hn::Store(hn::Sub(hn::Load(df, box.highest + i), origin), df, box.highest + i);
  }
}

// Rounds the middles to `codes`; returns their step. Then the box is relative to the rounded ones.
HWY_INLINE uint16_t EncodeCentres(Box& box, float* HWY_RESTRICT codes) {
  const DF df;
  VF largest = hn::Zero(df);
  for (size_t i = 0; i < kScaleDims; i += hn::Lanes(df)) {
    largest = hn::Max(largest, hn::Abs(Middle(box, i)));
  }
  const uint16_t half = bounds_step(hn::GetLane(hn::MaxOfLanes(df, largest)), kLargestCode);
  const float step = f16_to_f32(half);
  const VF per_step = hn::Set(df, half == 0 ? 0.0F : 0.5F / step);
  const VF last = hn::Set(df, kLargestCode);
  for (size_t i = 0; i < kScaleDims; i += hn::Lanes(df)) {
    const VF steps = hn::Add(hn::Mul(Middle(box, i), per_step), hn::Set(df, kLargestCode / 2));
    const VF code = hn::Min(hn::Max(hn::Round(steps), hn::Zero(df)), last);
    const VF centre = hn::Mul(hn::Set(df, step), hn::Sub(hn::Add(code, code), last));
    hn::Store(code, df, codes + i);
    hn::Store(hn::Sub(hn::Load(df, box.lowest + i), centre), df, box.lowest + i);
    hn::Store(hn::Sub(hn::Load(df, box.highest + i), centre), df, box.highest + i);
  }
  return half;
}

// The radii that the box needs, rounded up to codes; adds 16 times these to `codes`. Returns their
// step.
HWY_INLINE uint16_t EncodeRadii(const Box& box, float centre_step, float* HWY_RESTRICT codes) {
  const DF df;
  HWY_ALIGN float radius[kScaleDims];
  VF largest = hn::Zero(df);
  for (size_t i = 0; i < kScaleDims; i += hn::Lanes(df)) {
    const VF up = hn::Load(df, box.highest + i);
    const VF down = hn::Neg(hn::Load(df, box.lowest + i));
    const VF r = hn::Max(hn::Max(up, down), hn::Zero(df));
    // Two differences were rounded, by half an ulp of at most 15 centre_step + r and of r.
    const VF slack = hn::Mul(hn::Set(df, 0x1p-20F), hn::Add(r, hn::Set(df, centre_step)));
    hn::Store(hn::Add(r, slack), df, radius + i);
    largest = hn::Max(largest, hn::Add(r, slack));
  }
  const uint16_t half =
      bounds_step(hn::GetLane(hn::MaxOfLanes(df, largest)), kLargestCode + kRadiusFloor);
  if (half == 0) return half;
  const VF step = hn::Set(df, f16_to_f32(half));
  for (size_t i = 0; i < kScaleDims; i += hn::Lanes(df)) {
    const VF r = hn::Load(df, radius + i);
    VF code = hn::Ceil(hn::Div(r, step));
    // The quotient may have been rounded down to an integer; the product is exact.
    code = hn::Add(code, hn::IfThenElseZero(hn::Lt(hn::Mul(code, step), r), hn::Set(df, 1.0F)));
    code = hn::Max(hn::Sub(code, hn::Set(df, kRadiusFloor)), hn::Zero(df));
    code = hn::Min(code, hn::Set(df, kLargestCode));
    const VF sum = hn::Add(hn::Load(df, codes + i), hn::Mul(code, hn::Set(df, 16.0F)));
    hn::Store(sum, df, codes + i);
  }
  return half;
}

HWY_INLINE void StoreCodes(const float* HWY_RESTRICT codes, std::byte* HWY_RESTRICT at) {
  const DF df;
  const hn::Rebind<uint8_t, DF> db;
  HWY_ALIGN uint8_t bytes[kScaleDims];
  for (size_t i = 0; i < kScaleDims; i += hn::Lanes(df)) {
    hn::Store(hn::DemoteTo(db, hn::ConvertTo(DI(), hn::Load(df, codes + i))), db, bytes + i);
  }
  for (size_t i = 0; i < kScaleDims; i += 4) {
    std::memcpy(at + i / 4 * kBoundsRowBytes, bytes + i, 4);
  }
}

void SetBounds(std::byte* HWY_RESTRICT group, size_t lane, const float* HWY_RESTRICT lowest,
               const float* HWY_RESTRICT highest, size_t head_dim) {
  const DF df;
  auto* const origin = reinterpret_cast<int8_t*>(group + bounds_origin_offset(0, head_dim));
  for (size_t dim = 0; dim < head_dim; dim += kScaleDims) {
    const size_t chunk = dim / kScaleDims;
    Box box;
    for (size_t i = 0; i < kScaleDims; i += hn::Lanes(df)) {
      hn::Store(Bounded(hn::LoadU(df, lowest + dim + i)), df, box.lowest + i);
      hn::Store(Bounded(hn::LoadU(df, highest + dim + i)), df, box.highest + i);
    }
    std::byte* const origin_step = group + bounds_origin_step_offset(chunk, head_dim);
    if (lane == 0) SetOrigin(box, origin + dim, origin_step);
    SubtractOrigin(origin + dim, origin_step, box);
    HWY_ALIGN float codes[kScaleDims];
    const uint16_t centre_step = EncodeCentres(box, codes);
    const uint16_t radius_step = EncodeRadii(box, f16_to_f32(centre_step), codes);
    StoreCodes(codes, group + bounds_codes_offset(lane, dim, head_dim));
    std::memcpy(group + bounds_centre_step_offset(lane, chunk), &centre_step, 2);
    std::memcpy(group + bounds_radius_step_offset(lane, chunk), &radius_step, 2);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace longhaul
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longhaul {

HWY_EXPORT(SetBounds);

size_t bounds_group_bytes(size_t head_dim) { return bounds_codes_offset(0, head_dim, head_dim); }

void bounds_set(std::byte* group, size_t lane, const float* lowest, const float* highest,
                size_t head_dim) {
  HWY_DYNAMIC_DISPATCH(SetBounds)(group, lane, lowest, highest, head_dim);
}

}  // namespace longhaul
#endif  // HWY_ONCE
