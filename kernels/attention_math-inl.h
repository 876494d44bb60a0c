// What the kernels of attention in f32 and in 8-bit integers share. Included once per SIMD target
// (Highway); the vectors hold at most 16 lanes.

#if defined(LONGHAUL_KERNELS_ATTENTION_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LONGHAUL_KERNELS_ATTENTION_MATH_INL_H_
#undef LONGHAUL_KERNELS_ATTENTION_MATH_INL_H_
#else
#define LONGHAUL_KERNELS_ATTENTION_MATH_INL_H_
#endif

#include <hwy/highway.h>

#include <limits>

#include "kernels/attention_kernel.h"
#include "kernels/kv_tile_f16-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longhaul::attention {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using longhaul::HWY_NAMESPACE::DF;
using longhaul::HWY_NAMESPACE::LoadHalf;
using longhaul::HWY_NAMESPACE::VF;
using DI = hn::RebindToSigned<DF>;
using DU = hn::RebindToUnsigned<DF>;

inline constexpr float kMinusInf = -std::numeric_limits<float>::infinity();

// 2^x for x <= 0, within 1.5 ulp or, rough, within 3e-6 of it: a thousandth of a step of 8 bits.
// Exactly 1 at 0, 0 below -100, NaN for NaN. The constant leaves the nearest integer in the low
// bits of the sum; the polynomials are the Chebyshev fit of (2^f - 1) / f on [-0.5, 0.5] and the
// one of the least error relative to 2^f.
template <bool kRough = false>
HWY_INLINE VF Exp2(VF x) {
  const DF df;
  const DI di;
  const VF magic = hn::Set(df, 12582912.0F);  // 1.5 * 2^23
  const VF sum = hn::Add(x, magic);
  const VF f = hn::Sub(x, hn::Sub(sum, magic));
  VF p;
  if constexpr (kRough) {
    p = hn::Set(df, 0x1.3A02CEp-7F);
    p = hn::MulAdd(p, f, hn::Set(df, 0x1.C9FC48p-5F));
    p = hn::MulAdd(p, f, hn::Set(df, 0x1.EC0378p-3F));
    p = hn::MulAdd(p, f, hn::Set(df, 0x1.62E12Cp-1F));
  } else {
    p = hn::Set(df, 0x1.44138Ap-13F);
    p = hn::MulAdd(p, f, hn::Set(df, 0x1.5F0890p-10F));
    p = hn::MulAdd(p, f, hn::Set(df, 0x1.3B2A54p-7F));
    p = hn::MulAdd(p, f, hn::Set(df, 0x1.C6AF6Cp-5F));
    p = hn::MulAdd(p, f, hn::Set(df, 0x1.EBFBE0p-3F));
    p = hn::MulAdd(p, f, hn::Set(df, 0x1.62E430p-1F));
  }
  p = hn::MulAdd(p, f, hn::Set(df, 1.0F));
  const auto exponent = hn::ShiftLeft<23>(hn::BitCast(di, sum));
  const VF y = hn::BitCast(df, hn::Add(hn::BitCast(di, p), exponent));
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(df, -100.0F)), y);
}

// Updates m and l of some queries with the maxima and sums of a group, and says how o is to be
// updated. The higher of the two maxima stays: only the other side needs a power.
HWY_INLINE void MergeGroup(const float* HWY_RESTRICT max, const float* HWY_RESTRICT sum,
                           size_t n_queries, float* HWY_RESTRICT m, float* HWY_RESTRICT l,
                           GroupWeights& weights) {
  const DF df;
  for (size_t i = 0; i < n_queries; ++i) {
    weights.keep[i] = 1.0F;
    weights.add[i] = 0.0F;
    if (max[i] == kMinusInf) continue;
    const float rise = max[i] - m[i];
    const float power = hn::GetLane(Exp2(hn::Set(df, rise > 0.0F ? -rise : rise)));
    weights.keep[i] = rise > 0.0F ? power : 1.0F;
    weights.add[i] = rise > 0.0F ? 1.0F : power;
    m[i] = rise > 0.0F ? max[i] : m[i];
    l[i] = l[i] * weights.keep[i] + sum[i] * weights.add[i];
  }
}

// Asks for the lines of a tile that begin in its bytes [at, at + n).
HWY_INLINE void FetchLines(const std::byte* tile, size_t at, size_t n) {
  for (size_t line = (at + 63) / 64 * 64; line < at + n; line += 64) {
    __builtin_prefetch(tile + line, 0, 2);  // into L2: a group fills L1
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace longhaul::attention
HWY_AFTER_NAMESPACE();

#endif  // LONGHAUL_KERNELS_ATTENTION_MATH_INL_H_
