// Vectors of at most 16 floats, and loading them from half precision. Included once per SIMD target
// (Highway).

#if defined(LONGHAUL_KERNELS_KV_TILE_F16_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LONGHAUL_KERNELS_KV_TILE_F16_INL_H_
#undef LONGHAUL_KERNELS_KV_TILE_F16_INL_H_
#else
#define LONGHAUL_KERNELS_KV_TILE_F16_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>

#include "kernels/kv_tile_f16.h"

HWY_BEFORE_NAMESPACE();
namespace longhaul {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using DF = hn::CappedTag<float, 16>;
using VF = hn::Vec<DF>;

HWY_INLINE VF LoadHalf(const std::byte* from) {
  const DF df;
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128 || HWY_TARGET == HWY_SSSE3 || \
    HWY_TARGET == HWY_SSE4
  // Without F16C Highway turns infinity and NaN into numbers.
  HWY_ALIGN float x[hn::MaxLanes(df)];
  for (size_t i = 0; i < hn::Lanes(df); ++i) {
    x[i] = f16_to_f32(reinterpret_cast<const uint16_t*>(from)[i]);
  }
  return hn::Load(df, x);
#else
  const hn::Rebind<hwy::float16_t, DF> dh;
  return hn::PromoteTo(df, hn::LoadU(dh, reinterpret_cast<const hwy::float16_t*>(from)));
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace longhaul
HWY_AFTER_NAMESPACE();

#endif  // LONGHAUL_KERNELS_KV_TILE_F16_INL_H_
