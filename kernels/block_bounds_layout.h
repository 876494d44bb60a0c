// Where the numbers of a group of descriptors lie (block_bounds.h), and their steps.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/block_bounds.h"
#include "kernels/kv_tile.h"
#include "kernels/kv_tile_f16.h"

namespace longhaul {

inline constexpr size_t kBoundsRowBytes = kBoundsGroupBlocks * 4;  // 4 dimensions
inline constexpr float kLargestCode = 15.0F;                       // of centre and radius
inline constexpr int kRadiusFloor = 5;                             // steps of the radius of code 0
inline constexpr float kLargestOriginCode = 127.0F;
inline constexpr float kLargestKey = 0x1p18F;  // all steps are finite halves

// The steps of 32 dimensions of block `lane`.
inline size_t bounds_centre_step_offset(size_t lane, size_t chunk) {
  return (chunk * 2 * kBoundsGroupBlocks + lane) * 2;
}
inline size_t bounds_radius_step_offset(size_t lane, size_t chunk) {
  return bounds_centre_step_offset(lane + kBoundsGroupBlocks, chunk);
}
inline size_t bounds_origin_step_offset(size_t chunk, size_t head_dim) {
  return bounds_centre_step_offset(0, head_dim / kScaleDims) + chunk * sizeof(float);
}
inline size_t bounds_origin_offset(size_t dim, size_t head_dim) {
  return bounds_origin_step_offset(head_dim / kScaleDims, head_dim) + dim;
}
// The 4 bytes of dimensions dim .. dim + 3 of block `lane`, dim % 4 == 0.
inline size_t bounds_codes_offset(size_t lane, size_t dim, size_t head_dim) {
  const size_t n_before = bounds_origin_offset(head_dim, head_dim);
  return (n_before + kBoundsRowBytes - 1) / kBoundsRowBytes * kBoundsRowBytes +
         dim / 4 * kBoundsRowBytes + lane * 4;
}

// The least half with which the code n reaches x >= 0.
inline uint16_t bounds_step(float x, float n) {
  const uint16_t step = f16_round_up(x / n);
  // The quotient may have been rounded down to a half; the product is exact.
  return static_cast<uint16_t>(f16_to_f32(step) * n < x ? step + 1 : step);
}

}  // namespace longhaul
