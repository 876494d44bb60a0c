// Scalar conversions between f32 and IEEE half precision (as its 16 bits), to nearest and outward.
#pragma once

#include <bit>
#include <cstdint>

namespace longhaul {

// The half nearest to `x`, ties to even; overflows to infinity, keeps NaN.
inline uint16_t f16_from_f32(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const uint32_t sign = (bits >> 16) & 0x8000U;
  uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U) return static_cast<uint16_t>(sign | 0x7E00U);
  if (magnitude >= 0x477FF000U) return static_cast<uint16_t>(sign | 0x7C00U);  // >= 65520
  if (magnitude <
      0x38800000U) {  // below 2^-14: adding 0.5 leaves a multiple of 2^-24 in the mantissa
    const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3F000000U));
  }
  magnitude += 0xFFFU + ((magnitude >> 13) & 1U);
  return static_cast<uint16_t>(sign | ((magnitude - 0x38000000U) >> 13));
}

inline float f32_from_f16(uint16_t h) {
  const uint32_t sign = (h & 0x8000U) << 16;
  const uint32_t exponent = (h >> 10) & 0x1FU;
  const uint32_t mantissa = h & 0x3FFU;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
  }
  const uint32_t wide = exponent == 31 ? 0xFFU : exponent + 112U;
  return std::bit_cast<float>(sign | (wide << 23) | (mantissa << 13));
}

// The least half >= x. A zero is +0, so that equal numbers have equal bits.
inline uint16_t f16_round_up(float x) {
  uint16_t h = f16_from_f32(x);
  if (f32_from_f16(h) < x) h = static_cast<uint16_t>((h & 0x8000U) != 0 ? h - 1 : h + 1);
  return h == 0x8000U ? uint16_t{0} : h;
}

// The greatest half <= x.
inline uint16_t f16_round_down(float x) {
  const uint16_t h = f16_round_up(-x);
  return h == 0 ? h : static_cast<uint16_t>(h ^ 0x8000U);
}

}  // namespace longhaul
