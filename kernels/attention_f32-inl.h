// Attention over one group of 64 tokens in f32: tiles of any type become f32 once and serve all
// queries. Included once per SIMD target (Highway); the vectors hold at most 16 lanes.

#if defined(LONGHAUL_KERNELS_ATTENTION_F32_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LONGHAUL_KERNELS_ATTENTION_F32_INL_H_
#undef LONGHAUL_KERNELS_ATTENTION_F32_INL_H_
#else
#define LONGHAUL_KERNELS_ATTENTION_F32_INL_H_
#endif

#include <hwy/highway.h>

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

// Vectors of sums per query: 4 queries fill 16 of 32 registers or 8 of 16.
#if HWY_TARGET == HWY_AVX3
inline constexpr size_t kSumVectors = 4;
#else
inline constexpr size_t kSumVectors = 2;
#endif

// 2^x for x <= 0, within 1.5 ulp; exactly 1 at 0, 0 below -100, NaN for NaN. The constant leaves
// the nearest integer in the low bits of the sum; the polynomial is the Chebyshev fit of (2^f - 1)
// / f on [-0.5, 0.5].
HWY_INLINE VF Exp2(VF x) {
  const DF df;
  const DI di;
  const VF magic = hn::Set(df, 12582912.0F);  // 1.5 * 2^23
  const VF sum = hn::Add(x, magic);
  const VF f = hn::Sub(x, hn::Sub(sum, magic));
  VF p = hn::Set(df, 0x1.44138Ap-13F);
  p = hn::MulAdd(p, f, hn::Set(df, 0x1.5F0890p-10F));
  p = hn::MulAdd(p, f, hn::Set(df, 0x1.3B2A54p-7F));
  p = hn::MulAdd(p, f, hn::Set(df, 0x1.C6AF6Cp-5F));
  p = hn::MulAdd(p, f, hn::Set(df, 0x1.EBFBE0p-3F));
  p = hn::MulAdd(p, f, hn::Set(df, 0x1.62E430p-1F));
  p = hn::MulAdd(p, f, hn::Set(df, 1.0F));
  const auto exponent = hn::ShiftLeft<23>(hn::BitCast(di, sum));
  const VF y = hn::BitCast(df, hn::Add(hn::BitCast(di, p), exponent));
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(df, -100.0F)), y);
}

// k[dim, 64] of tile j (columns 16 j ..) from a K tile.
HWY_INLINE void KeysToF32(KvType type, const std::byte* tile, size_t head_dim,
                          float* HWY_RESTRICT k) {
  const DF df;
  const DI di;
  const DU du;
  const size_t n = hn::Lanes(df);
  for (size_t t = 0; t < kTileTokens; t += n) {
    if (type == KvType::kF16) {
      for (size_t dim = 0; dim < head_dim; ++dim) {
        hn::StoreU(LoadHalf(tile + (dim * kTileTokens + t) * 2), df, k + dim * kGroupTokens + t);
      }
      continue;
    }
    const std::byte* scales = tile + kTileTokens * head_dim;
    for (size_t quad = 0; quad < head_dim / 4; ++quad) {
      const VF scale = LoadHalf(scales + (quad / (kScaleDims / 4) * kTileTokens + t) * 2);
      const auto* from = reinterpret_cast<const uint32_t*>(tile) + quad * kTileTokens + t;
      auto bytes = hn::LoadU(du, from);
      for (size_t i = 0; i < 4; ++i) {
        const auto byte = hn::BitCast(di, hn::And(bytes, hn::Set(du, 0xFFU)));
        const VF q = hn::ConvertTo(df, hn::Sub(byte, hn::Set(di, 128)));
        hn::StoreU(hn::Mul(q, scale), df, k + (quad * 4 + i) * kGroupTokens + t);
        bytes = hn::ShiftRight<8>(bytes);
      }
    }
  }
}

// v[16, head_dim] from a V tile; tokens outside `mask` become zeros, since their bytes may be
// anything.
HWY_INLINE void ValuesToF32(KvType type, const std::byte* tile, size_t head_dim, uint32_t mask,
                            float* HWY_RESTRICT v) {
  const DF df;
  const DI di;
  const DU du;
  const size_t n = hn::Lanes(df);
  const auto* scales = reinterpret_cast<const uint16_t*>(tile + kTileTokens * head_dim);
  for (size_t token = 0; token < kTileTokens; ++token, v += head_dim) {
    if (((mask >> token) & 1U) == 0) {
      for (size_t dim = 0; dim < head_dim; dim += n) hn::StoreU(hn::Zero(df), df, v + dim);
    } else if (type == KvType::kF16) {
      for (size_t dim = 0; dim < head_dim; dim += n) {
        hn::StoreU(LoadHalf(tile + (token * head_dim + dim) * 2), df, v + dim);
      }
    } else {
      const auto* from = reinterpret_cast<const uint32_t*>(tile) + token / 4 * head_dim;
      const int up = static_cast<int>(24 - token % 4 * 8);
      for (size_t dim = 0; dim < head_dim; dim += n) {
        const VF scale = hn::Set(df, f32_from_f16(scales[dim / kScaleDims * kTileTokens + token]));
        const auto high = hn::ShiftLeftSame(hn::LoadU(du, from + dim), up);
        const VF q = hn::ConvertTo(df, hn::ShiftRight<24>(hn::BitCast(di, high)));
        hn::StoreU(hn::Mul(q, scale), df, v + dim);
      }
    }
  }
}

// scores[i, 64] = q[i] . k for kQueries rows of q [head_dim].
template <size_t kQueries>
HWY_NOINLINE void ScoresF32(const float* HWY_RESTRICT q, const float* HWY_RESTRICT k,
                            size_t head_dim, float* HWY_RESTRICT scores) {
  const DF df;
  const size_t n = hn::Lanes(df);
  for (size_t t = 0; t < kGroupTokens; t += kSumVectors * n) {
    VF sums[kQueries][kSumVectors];
    LH_UNROLL for (size_t i = 0; i < kQueries; ++i) {
      LH_UNROLL for (size_t j = 0; j < kSumVectors; ++j) sums[i][j] = hn::Zero(df);
    }
    for (size_t dim = 0; dim < head_dim; ++dim) {
      VF keys[kSumVectors];
      LH_UNROLL for (size_t j = 0; j < kSumVectors; ++j) {
        keys[j] = hn::LoadU(df, k + dim * kGroupTokens + t + j * n);
      }
      LH_UNROLL for (size_t i = 0; i < kQueries; ++i) {
        const VF one_q = hn::Set(df, q[i * head_dim + dim]);
        LH_UNROLL for (size_t j = 0; j < kSumVectors; ++j) {
          sums[i][j] = hn::MulAdd(one_q, keys[j], sums[i][j]);
        }
      }
    }
    LH_UNROLL for (size_t i = 0; i < kQueries; ++i) {
      LH_UNROLL for (size_t j = 0; j < kSumVectors; ++j) {
        hn::StoreU(sums[i][j], df, scores + i * kGroupTokens + t + j * n);
      }
    }
  }
}

// One block of ValuesF32: kVectors vectors of dimensions from `dim` on.
template <size_t kQueries, size_t kVectors>
HWY_INLINE void ValuesBlock(const float* HWY_RESTRICT p, const float* HWY_RESTRICT v,
                            size_t head_dim, size_t dim, const GroupWeights& weights,
                            float* HWY_RESTRICT o) {
  const DF df;
  const size_t n = hn::Lanes(df);
  VF sums[kQueries][kVectors];
  LH_UNROLL for (size_t i = 0; i < kQueries; ++i) {
    LH_UNROLL for (size_t j = 0; j < kVectors; ++j) sums[i][j] = hn::Zero(df);
  }
  for (size_t token = 0; token < kGroupTokens; ++token) {
    VF values[kVectors];
    LH_UNROLL for (size_t j = 0; j < kVectors; ++j) {
      values[j] = hn::LoadU(df, v + token * head_dim + dim + j * n);
    }
    LH_UNROLL for (size_t i = 0; i < kQueries; ++i) {
      const VF one_p = hn::Set(df, p[i * kGroupTokens + token]);
      LH_UNROLL for (size_t j = 0; j < kVectors; ++j) {
        sums[i][j] = hn::MulAdd(one_p, values[j], sums[i][j]);
      }
    }
  }
  LH_UNROLL for (size_t i = 0; i < kQueries; ++i) {
    if (weights.add[i] == 0.0F) continue;  // such a group changes no bit
    LH_UNROLL for (size_t j = 0; j < kVectors; ++j) {
      float* at = o + i * head_dim + dim + j * n;
      const VF old = hn::Mul(hn::LoadU(df, at), hn::Set(df, weights.keep[i]));
      hn::StoreU(hn::MulAdd(sums[i][j], hn::Set(df, weights.add[i]), old), df, at);
    }
  }
}

// o[i] = o[i] * keep[i] + add[i] * sum over the 64 tokens of p[i, token] v[token], for kQueries
// rows of p and o.
template <size_t kQueries>
HWY_NOINLINE void ValuesF32(const float* HWY_RESTRICT p, const float* HWY_RESTRICT v,
                            size_t head_dim, const GroupWeights& weights, float* HWY_RESTRICT o) {
  const size_t step = kSumVectors * hn::Lanes(DF());
  size_t dim = 0;
  for (; dim + step <= head_dim; dim += step) {
    ValuesBlock<kQueries, kSumVectors>(p, v, head_dim, dim, weights, o);
  }
  if (dim < head_dim) ValuesBlock<kQueries, 2>(p, v, head_dim, dim, weights, o);
}

}  // namespace HWY_NAMESPACE
}  // namespace longhaul::attention
HWY_AFTER_NAMESPACE();

#endif  // LONGHAUL_KERNELS_ATTENTION_F32_INL_H_
