// Scalar conversions between f32 and the two 16-bit floats: f16 (IEEE binary16) and bf16 (the upper
// half of an f32). To 16 bits they round to nearest, ties to even; a NaN stays a NaN and becomes
// quiet, as the hardware does it.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace longhaul {

// Exact: every f16 is an f32.
inline float f16_to_f32(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 0x1fu;
  const uint32_t fraction = half & 0x3ffu;
  if (exponent == 0) {  // zero or subnormal: fraction * 2^-24, which f32 holds as a normal number
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
  }
  if (exponent == 0x1f) {  // infinity or NaN
    const uint32_t quiet = fraction != 0 ? 0x400000u : 0u;
    return std::bit_cast<float>(sign | 0x7f800000u | quiet | fraction << 13);
  }
  return std::bit_cast<float>(sign | (exponent + 127 - 15) << 23 | fraction << 13);
}

// The f16 that lies at `from`, which may be unaligned.
inline float read_f16(const std::byte* from) {
  uint16_t half;
  std::memcpy(&half, from, sizeof(half));
  return f16_to_f32(half);
}

// Values of 65520 and more in size become infinity; below 2^-25 (and at it) they become zero.
inline uint16_t f32_to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 16 & 0x8000u;
  uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u)
    return static_cast<uint16_t>(sign | 0x7e00u | (magnitude >> 13 & 0x1ffu));
  if (magnitude >= 0x477ff000u)
    return static_cast<uint16_t>(sign | 0x7c00u);  // 65520, halfway past the largest
  if (magnitude <
      0x38800000u) {  // below 2^-14: the addition rounds to multiples of 2^-24, the spacing at 0.5
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(
        sign | (std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(0.5f)));
  }
  magnitude += 0xfffu + (magnitude >> 13 &
                         1u);  // round at bit 13; a carry moves into the exponent as it should
  return static_cast<uint16_t>(sign | (magnitude - (uint32_t{127 - 15} << 23)) >> 13);
}

// Exact.
inline float bf16_to_f32(uint16_t half) {
  return std::bit_cast<float>(static_cast<uint32_t>(half) << 16);
}

// Values that round past the largest bf16 become infinity. Subnormals round like all others.
inline uint16_t f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>(bits >> 16 | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

}  // namespace longhaul
