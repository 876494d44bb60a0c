// Where the numbers of a group of two-point descriptors lie (block_outlier.h). Steps and origin lie
// as those of boxes do: mean for centre, outlier for radius.
#pragma once

#include "kernels/block_bounds_layout.h"

namespace longhaul {

inline constexpr int kMeanBits = 5;
inline constexpr float kLastMeanCode = 31.0F, kLastOutlierCode = 7.0F;
inline constexpr float kLargestOutlierKey = 0x1p13F;  // rotated, all steps are finite halves
// So that 16 bits hold the products of 16 dimensions, 16 * 66 * 31.
inline constexpr float kLargestOutlierQuery = 66.0F;

inline size_t outlier_spread_offset(size_t lane, size_t head_dim) {
  return bounds_origin_offset(head_dim, head_dim) + lane * 2;
}
// The 4 bytes of dimensions dim .. dim + 3 of block `lane`, dim % 4 == 0.
inline size_t outlier_codes_offset(size_t lane, size_t dim, size_t head_dim) {
  const size_t n_before = outlier_spread_offset(kBoundsGroupBlocks, head_dim);
  return (n_before + kBoundsRowBytes - 1) / kBoundsRowBytes * kBoundsRowBytes +
         dim / 4 * kBoundsRowBytes + lane * 4;
}

}  // namespace longhaul
