// How weights and activations lie in memory for the matrix kernels. Private to kernels/.
//
// A panel holds 16 output rows of a matrix, so that a vector lane is an output row and no kernel
// sums across lanes.
//
//   F32, F16, BF16   [n_in][16 rows]
//   quantised        clusters of blocks, one after another, each the codes of its blocks and then
//                    their scales; codes of a block are 8 groups of [16 rows][4 inputs], unsigned
//
// A group of scales serves one block, or 8 in the K types. A cluster holds one group, or two where
// one would not fill whole cache lines (the last of a panel may still hold one): a product of one
// row reads memory in ascending order, once, by whole lines.
// Input 4 * g + k of a block is byte k of row's word in group g: one VNNI instruction multiplies a
// group by 4 activations. Codes of fewer than 8 bits are split in planes:
//
//   4 bits           4 planes of 64 bytes; plane j has group j in its low nibbles and group j + 4
//                    in its high ones
//   5 bits           those of 4 bits, then 64 bytes of which bit g is the fifth bit of group g
//   6 bits           those of 4 bits, then 2 planes of 64 bytes; plane p has group 4 * p + j in
//                    bits 2j and 2j + 1
//
// Scales of a block, each [16 rows]: f16 d, and f16 m where the type has a minimum. Of a superblock
// of 256 inputs:
//
//   Q4_K, Q5_K       [8] u8 scale, [8] u8 min, f16 d, f16 dmin
//   Q6_K             [16] i8 scale (one for 16 inputs), f16 d
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "base/tensor_type.h"

namespace longhaul {

inline constexpr size_t kPanelRows = 16;
inline constexpr size_t kBlockInputs = 32;

// 32 activations of one row, rounded: x ~ scale * q. Rows are kept in groups of 8; what is left
// is one group of 1, 2, 4 or 8, filled up with rows of zeros. In a group the blocks lie
// [n_blocks][rows of the group].
struct ActivationBlock {
  int8_t q[kBlockInputs];
  float scale;          // largest |x| / 127
  float scaled_sum;     // scale * sum of q: what the minimum of a weight block is multiplied by
  int32_t offset;       // -128 * sum of q: undoes the 128 that makes a signed 8-bit code unsigned
  int32_t half_offset;  // the same of the first 16
};
inline constexpr size_t kMaxGroupRows = 8;

// Rows of the group that starts where n_left rows are still to come.
inline constexpr size_t group_rows(size_t n_left) {
  return n_left > 4 ? 8 : n_left > 2 ? 4 : n_left > 1 ? 2 : 1;
}

// Rows with those that fill up the last group; a multiple of 8 needs none.
inline constexpr size_t padded_rows(size_t n_rows) {
  const size_t n_left = n_rows % kMaxGroupRows;
  return n_rows - n_left + (n_left == 0 ? 0 : group_rows(n_left));
}

// What the sizes of a panel of quantised weights follow from: scales of a group of blocks, then
// their units.
struct PanelFormat {
  size_t code_bits;         // 8, 6, 5 or 4; 32 or 16 for floats
  size_t n_small;           // 8-bit numbers of a row in a group of scales
  size_t n_half;            // f16 numbers, after those
  size_t blocks_per_scale;  // blocks that share a group of scales

  // Of a block, of a group of scales, and of that and the blocks it serves.
  size_t code_bytes() const { return code_bits * kBlockInputs / 8 * kPanelRows; }
  size_t scale_bytes() const { return (n_small + 2 * n_half) * kPanelRows; }
  size_t group_bytes() const { return blocks_per_scale * code_bytes() + scale_bytes(); }
  size_t groups_per_cluster() const { return group_bytes() % 64 == 0 ? 1 : 2; }
};

// Where a group of scales and the codes of its first block lie, in bytes from the panel's start.
struct GroupPlace {
  size_t codes;
  size_t scales;
};
GroupPlace find_group(const PanelFormat& format, size_t group, size_t n_groups);

// The format of a type, or nullptr if there is no kernel for it.
const PanelFormat* find_panel_format(TensorType type);
// Bytes of a panel, a multiple of 64.
size_t panel_bytes(TensorType type, size_t n_in);
// Interleaves n_rows <= 16 rows that follow one another in the file's layout; missing rows become
// zeros. `panel` is zeroed memory of panel_bytes().
void pack_panel(TensorType type, const std::byte* rows, size_t n_rows, size_t n_in,
                std::byte* panel);

}  // namespace longhaul
