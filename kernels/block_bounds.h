// Block descriptors: per block of tokens the element-wise minimum and maximum of its keys, as
// read_k gives them, and the score made from them: an upper bound of q . k over the block (Quest,
// ReSA).
//
// 16 blocks of one (layer, KV head) form a group so that lane = block: max [head_dim][16] f16, then
// min [head_dim][16] f16, rounded outward so that the bound stays a bound. Keys must be within
// +-65504.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace longhaul {

inline constexpr size_t kBoundsGroupBlocks = 16;

// Bytes of one group of 16 blocks.
size_t bounds_group_bytes(size_t head_dim);

// Makes block `lane` of the group the bounds of one key [head_dim].
void bounds_set(std::byte* group, size_t lane, const float* k, size_t head_dim);

// Widens block `lane` of the group to hold one more key. The order of keys does not change the
// bits.
void bounds_merge(std::byte* group, size_t lane, const float* k, size_t head_dim);

// The descriptors of a sequence: block i is lane i % 16 of the group at base + pages[i / 16] *
// page_stride.
struct BoundsView {
  const std::byte* base = nullptr;
  size_t page_stride = 0;           // bytes from one page to the next
  const uint32_t* pages = nullptr;  // [ceil(n_blocks / 16)]
  size_t head_dim = 0;
  size_t n_blocks = 0;
};

// scores[i] = sum_j max(q[j] * max[i][j], q[j] * min[i][j]) for i < n_blocks; q is [head_dim].
// Reads half the bytes: the sign of q[j] tells which of the two is the larger product. At least q .
// k for each key k of block i, up to rounding of the f32 sum over head_dim.
void score_blocks(const BoundsView& bounds, const float* q, float* scores);

// Writes the n_select highest of `scores` to ids[0 .. n_select), as ascending indices; equal scores
// go to the lower index. n_select <= scores.size(). No score may be NaN. +inf forces a block in.
void top_k(std::span<const float> scores, size_t n_select, uint32_t* ids);

}  // namespace longhaul
