// Where the numbers of a group of descriptors lie (block_bounds.h), and their scales.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/block_bounds.h"
#include "kernels/kv_tile.h"
#include "kernels/kv_tile_f16.h"

namespace longhaul {

inline constexpr size_t kBoundsRowBytes = kBoundsGroupBlocks * 4;  // 4 dimensions, max or min
inline constexpr float kBoundSteps = 127.0F;
inline constexpr uint16_t kLargestHalf = 0x7BFF;

// The 4 bytes of dimensions dim .. dim + 3 of block `lane`, dim % 4 == 0; the minima lie one row
// further.
inline size_t bounds_max_offset(size_t lane, size_t dim) {
  return dim / 4 * 2 * kBoundsRowBytes + lane * 4;
}
inline size_t bounds_min_offset(size_t lane, size_t dim) {
  return bounds_max_offset(lane, dim) + kBoundsRowBytes;
}
inline size_t bounds_scale_offset(size_t lane, size_t chunk, size_t head_dim) {
  return head_dim * 2 * kBoundsGroupBlocks + (chunk * kBoundsGroupBlocks + lane) * 2;
}

// The scale of 32 dimensions from the bits of the largest magnitude in them (NaN being the
// largest).
inline uint16_t bounds_scale(uint32_t magnitude_bits) {
  const float largest = std::bit_cast<float>(magnitude_bits);
  const float limit = kBoundSteps * f16_to_f32(kLargestHalf);
  if (!(largest < limit)) return kLargestHalf;
  const uint16_t scale = f16_round_up(largest / kBoundSteps);
  // The quotient may have been rounded down to a half; the product is exact.
  return static_cast<uint16_t>(f16_to_f32(scale) * kBoundSteps < largest ? scale + 1 : scale);
}

}  // namespace longhaul
