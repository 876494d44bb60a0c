// The tile codec for every SIMD target. A vector holds consecutive dimensions of one token; what
// lies apart in the tile is written lane by lane.
#include "kernels/kv_tile.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/kv_tile_layout.h"
#include "quant/half.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/kv_tile.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/kv_tile_f16-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longhaul {
namespace HWY_NAMESPACE {

using DI = hn::Rebind<int32_t, DF>;
using DB = hn::Rebind<int8_t, DF>;
using DU = hn::Rebind<uint32_t, DF>;

// The f16 scale of 32 numbers; NaN and infinity go into it. Magnitudes order like their bits, NaN
// last.
HWY_INLINE uint16_t ScaleOf(const float* HWY_RESTRICT x) {
  const DF df;
  const DI di;
  auto largest = hn::Zero(di);
  for (size_t i = 0; i < kScaleDims; i += hn::Lanes(df)) {
    largest = hn::Max(largest, hn::BitCast(di, hn::Abs(hn::LoadU(df, x + i))));
  }
  const int32_t bits = hn::GetLane(hn::MaxOfLanes(di, largest));
  return f32_to_f16(std::bit_cast<float>(bits) / 127.0F);
}

// Numbers as steps of a scale. A scale that is zero, infinite or NaN says all there is to say: its
// integers are 1.
struct Quantiser {
  float scale;
  bool usable;

  explicit Quantiser(uint16_t scale_bits)
      : scale(f16_to_f32(scale_bits)), usable(scale > 0.0F && std::isfinite(scale)) {}

  HWY_INLINE hn::Vec<DI> operator()(const float* HWY_RESTRICT x) const {
    const DF df;
    if (!usable) return hn::Set(DI(), 1);
    const VF steps = hn::Div(hn::LoadU(df, x), hn::Set(df, scale));
    return hn::NearestInt(hn::Min(hn::Max(steps, hn::Set(df, -127.0F)), hn::Set(df, 127.0F)));
  }
};

void WriteKInt8(std::byte* HWY_RESTRICT tile, size_t slot, const float* HWY_RESTRICT k,
                size_t head_dim) {
  const DF df;
  for (size_t chunk = 0; chunk < head_dim / kScaleDims; ++chunk) {
    const float* x = k + chunk * kScaleDims;
    const uint16_t scale = ScaleOf(x);
    const Quantiser quantise(scale);
    HWY_ALIGN int8_t q[kScaleDims];
    for (size_t i = 0; i < kScaleDims; i += hn::Lanes(df)) {
      hn::Store(hn::DemoteTo(DB(), quantise(x + i)), DB(), q + i);
    }
    for (size_t i = 0; i < kScaleDims; i += 4) {
      uint32_t quad;
      std::memcpy(&quad, q + i, sizeof(quad));
      quad ^= 0x80808080U;  // adds 128 to each
      std::memcpy(tile + k_q8_index(slot, chunk * kScaleDims + i), &quad, sizeof(quad));
    }
    std::memcpy(tile + scale_offset(slot, chunk, head_dim), &scale, sizeof(scale));
  }
}

void WriteVInt8(std::byte* HWY_RESTRICT tile, size_t slot, const float* HWY_RESTRICT v,
                size_t head_dim) {
  const DF df;
  const DU du;
  const int shift = static_cast<int>(slot % 4 * 8);  // the four tokens of a lane
  const auto byte_mask = hn::Set(du, 0xFFU);
  const auto slot_mask = hn::Set(du, 0xFFU << shift);
  for (size_t chunk = 0; chunk < head_dim / kScaleDims; ++chunk) {
    const float* x = v + chunk * kScaleDims;
    const uint16_t scale = ScaleOf(x);
    const Quantiser quantise(scale);
    for (size_t i = 0; i < kScaleDims; i += hn::Lanes(df)) {
      auto* at = reinterpret_cast<uint32_t*>(
          tile + v_q8_index(slot / 4 * 4, chunk * kScaleDims + i, head_dim));
      const auto q = hn::And(hn::BitCast(du, quantise(x + i)), byte_mask);
      const auto others = hn::AndNot(slot_mask, hn::LoadU(du, at));
      hn::StoreU(hn::Or(others, hn::ShiftLeftSame(q, shift)), du, at);
    }
    std::memcpy(tile + scale_offset(slot, chunk, head_dim), &scale, sizeof(scale));
  }
}

void ReadKInt8(const std::byte* HWY_RESTRICT tile, size_t slot, float* HWY_RESTRICT k,
               size_t head_dim) {
  const DF df;
  for (size_t chunk = 0; chunk < head_dim / kScaleDims; ++chunk) {
    const VF scale = hn::Set(df, read_f16(tile + scale_offset(slot, chunk, head_dim)));
    HWY_ALIGN int8_t q[kScaleDims];
    for (size_t i = 0; i < kScaleDims; i += 4) {
      uint32_t quad;
      std::memcpy(&quad, tile + k_q8_index(slot, chunk * kScaleDims + i), sizeof(quad));
      quad ^= 0x80808080U;
      std::memcpy(q + i, &quad, sizeof(quad));
    }
    for (size_t i = 0; i < kScaleDims; i += hn::Lanes(df)) {
      const auto steps = hn::ConvertTo(df, hn::PromoteTo(DI(), hn::Load(DB(), q + i)));
      hn::StoreU(hn::Mul(steps, scale), df, k + chunk * kScaleDims + i);
    }
  }
}

HWY_INLINE void StoreHalf(VF x, uint16_t* HWY_RESTRICT to) {
#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128 || HWY_TARGET == HWY_SSSE3 || \
    HWY_TARGET == HWY_SSE4
  // Without F16C Highway loses infinity and NaN.
  const DF df;
  HWY_ALIGN float lanes[hn::MaxLanes(df)];
  hn::Store(x, df, lanes);
  for (size_t i = 0; i < hn::Lanes(df); ++i) to[i] = f32_to_f16(lanes[i]);
#else
  const hn::Rebind<hwy::float16_t, DF> dh;
  hn::StoreU(hn::DemoteTo(dh, x), dh, reinterpret_cast<hwy::float16_t*>(to));
#endif
}

void WriteKHalf(std::byte* HWY_RESTRICT tile, size_t slot, const float* HWY_RESTRICT k,
                size_t head_dim) {
  const DF df;
  HWY_ALIGN uint16_t halves[kMaxHeadDim];
  for (size_t i = 0; i < head_dim; i += hn::Lanes(df)) StoreHalf(hn::LoadU(df, k + i), halves + i);
  auto* at = reinterpret_cast<uint16_t*>(tile) + k_f16_index(slot, 0);
  for (size_t dim = 0; dim < head_dim; ++dim) at[dim * kTileTokens] = halves[dim];
}

void WriteVHalf(std::byte* HWY_RESTRICT tile, size_t slot, const float* HWY_RESTRICT v,
                size_t head_dim) {
  const DF df;
  auto* at = reinterpret_cast<uint16_t*>(tile) + v_f16_index(slot, 0, head_dim);
  for (size_t i = 0; i < head_dim; i += hn::Lanes(df)) StoreHalf(hn::LoadU(df, v + i), at + i);
}

void ReadKHalf(const std::byte* HWY_RESTRICT tile, size_t slot, float* HWY_RESTRICT k,
               size_t head_dim) {
  const DF df;
  HWY_ALIGN uint16_t halves[kMaxHeadDim];
  const auto* from = reinterpret_cast<const uint16_t*>(tile) + k_f16_index(slot, 0);
  for (size_t dim = 0; dim < head_dim; ++dim) halves[dim] = from[dim * kTileTokens];
  for (size_t i = 0; i < head_dim; i += hn::Lanes(df)) {
    hn::StoreU(LoadHalf(reinterpret_cast<const std::byte*>(halves + i)), df, k + i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace longhaul
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longhaul {

HWY_EXPORT(WriteKInt8);
HWY_EXPORT(WriteVInt8);
HWY_EXPORT(ReadKInt8);
HWY_EXPORT(WriteKHalf);
HWY_EXPORT(WriteVHalf);
HWY_EXPORT(ReadKHalf);

void write_k(KvType type, std::byte* tile, size_t slot, const float* k, size_t head_dim) {
  if (type == KvType::kQ8_0) return HWY_DYNAMIC_DISPATCH(WriteKInt8)(tile, slot, k, head_dim);
  HWY_DYNAMIC_DISPATCH(WriteKHalf)(tile, slot, k, head_dim);
}

void write_v(KvType type, std::byte* tile, size_t slot, const float* v, size_t head_dim) {
  if (type == KvType::kQ8_0) return HWY_DYNAMIC_DISPATCH(WriteVInt8)(tile, slot, v, head_dim);
  HWY_DYNAMIC_DISPATCH(WriteVHalf)(tile, slot, v, head_dim);
}

void read_k(KvType type, const std::byte* tile, size_t slot, float* k, size_t head_dim) {
  if (type == KvType::kQ8_0) return HWY_DYNAMIC_DISPATCH(ReadKInt8)(tile, slot, k, head_dim);
  HWY_DYNAMIC_DISPATCH(ReadKHalf)(tile, slot, k, head_dim);
}

// In plain C++: nothing that runs for every token calls it.
void read_v(KvType type, const std::byte* tile, size_t slot, float* v, size_t head_dim) {
  for (size_t dim = 0; dim < head_dim; ++dim) {
    if (type == KvType::kF16) {
      v[dim] = read_f16(tile + 2 * v_f16_index(slot, dim, head_dim));
      continue;
    }
    const auto q = static_cast<int8_t>(tile[v_q8_index(slot, dim, head_dim)]);
    v[dim] =
        static_cast<float>(q) * read_f16(tile + scale_offset(slot, dim / kScaleDims, head_dim));
  }
}

}  // namespace longhaul
#endif  // HWY_ONCE
