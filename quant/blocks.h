// What the scalar codecs share: walking over blocks, rounding, and the packing of 4- and 5-bit
// numbers.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/check.h"

namespace longhaul::quant {

// Calls decode(block, out) for each block; `out` points at the block's first element. Blocks are
// copied out of `src`, which may have any alignment.
template <class Block, size_t kBlockLen, class Decode>
void decode_blocks(const std::byte* src, float* dst, size_t n_elements, Decode decode) {
  LH_DCHECK(n_elements % kBlockLen == 0);
  for (size_t i = 0; i < n_elements / kBlockLen; ++i) {
    Block block;
    std::memcpy(&block, src + i * sizeof(Block), sizeof(Block));
    decode(block, dst + i * kBlockLen);
  }
}

// Calls encode(x) -> block for each run of kBlockLen values.
template <class Block, size_t kBlockLen, class Encode>
void encode_blocks(const float* src, std::byte* dst, size_t n_elements, Encode encode) {
  LH_DCHECK(n_elements % kBlockLen == 0);
  for (size_t i = 0; i < n_elements / kBlockLen; ++i) {
    const Block block = encode(src + i * kBlockLen);
    std::memcpy(dst + i * sizeof(Block), &block, sizeof(Block));
  }
}

// `value` rounded to the nearest integer (ties to even) within [low, high], both under 2^22 in
// size; a NaN gives `low`. Adding 1.5 * 2^23 leaves the integer in the low bits of the sum: the
// encoders run twice as fast as with lround.
inline int round_clamped(float value, int low, int high) {
  constexpr float kShift = 0x1.8p23f;
  const float at_least = value > static_cast<float>(low) ? value : static_cast<float>(low);
  const float clamped = at_least < static_cast<float>(high) ? at_least : static_cast<float>(high);
  return std::bit_cast<int32_t>(clamped + kShift) - std::bit_cast<int32_t>(kShift);
}

// x / scale, or 0 if the scale is 0: what a block of zeros has.
inline float divide_or_zero(float x, float scale) { return scale != 0.0f ? x / scale : 0.0f; }

// Blocks of 32 keep 4 bits per element in 16 bytes: elements 0 to 15 in the low halves, 16 to 31 in
// the high halves.
inline void unpack_nibbles(const uint8_t packed[16], uint8_t q[32]) {
  for (int i = 0; i < 16; ++i) {
    q[i] = packed[i] & 0x0f;
    q[i + 16] = packed[i] >> 4;
  }
}

// Packs the low 4 bits of each q.
inline void pack_nibbles(const uint8_t q[32], uint8_t packed[16]) {
  for (int i = 0; i < 16; ++i) packed[i] = static_cast<uint8_t>((q[i] & 0x0f) | q[i + 16] << 4);
}

// Adds bit 4 of element i from bit i % 8 of byte i / 8.
inline void unpack_fifth_bits(const uint8_t packed[4], uint8_t q[32]) {
  for (int i = 0; i < 32; ++i)
    q[i] = static_cast<uint8_t>(q[i] | (packed[i / 8] >> i % 8 & 1) << 4);
}

inline void pack_fifth_bits(const uint8_t q[32], uint8_t packed[4]) {
  std::fill_n(packed, 4, uint8_t{0});
  for (int i = 0; i < 32; ++i)
    packed[i / 8] = static_cast<uint8_t>(packed[i / 8] | (q[i] >> 4 & 1) << i % 8);
}

}  // namespace longhaul::quant
