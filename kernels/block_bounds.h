// Block descriptors: per block of tokens the box around its keys (element-wise minimum and
// maximum), as read_k gives them, and the score made from it: an upper bound of q . k over the
// block (Quest, ReSA). Also the choice of the highest scores.
//
// A bound is an 8-bit integer times a scale, rounded outward so that it stays a bound. 32
// dimensions of a block share a scale: the least f16 with 127 * scale >= the largest magnitude
// among the block's keys there. So the descriptor is a function of the set of keys, whatever their
// order. 16 blocks of one (layer, KV head) form a group so that lane = block:
//
//   [head_dim / 4] of {max [16 blocks][4] u8, min [16 blocks][4] u8}, each the integer + 128,
//   then scales [head_dim / 32][16 blocks] f16; rounded up to a multiple of 64 bytes.
//
// Magnitudes that no f16 key has count as the largest that fits, so that scores are always finite.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace longhaul {

inline constexpr size_t kBoundsGroupBlocks = 16;

// Bytes of one group of 16 blocks. head_dim is a multiple of 32.
size_t bounds_group_bytes(size_t head_dim);

// Makes block `lane` of the group the bounds of keys that span [lowest, highest], [head_dim] each.
void bounds_set(std::byte* group, size_t lane, const float* lowest, const float* highest,
                size_t head_dim);

// Widens block `lane` of the group to hold more keys. False, and nothing is changed, if a scale
// would have to grow: then the block must be set from the box of all its keys.
[[nodiscard]] bool bounds_merge(std::byte* group, size_t lane, const float* lowest,
                                const float* highest, size_t head_dim);

// The bounds of block `lane` as numbers.
void bounds_read(const std::byte* group, size_t lane, float* lowest, float* highest,
                 size_t head_dim);

// The descriptors of a sequence: block i is lane i % 16 of the group at base + pages[i / 16] *
// page_stride.
struct BoundsView {
  const std::byte* base = nullptr;
  size_t page_stride = 0;           // bytes from one page to the next
  const uint32_t* pages = nullptr;  // [ceil(n_blocks / 16)]
  size_t head_dim = 0;
  size_t n_blocks = 0;
};

// scores[i] = sum_j max(q[j] * max[i][j], q[j] * min[i][j]) for i < n_blocks; q is [head_dim]. Each
// 32 dimensions of q are first rounded to the nearest multiples of u = their largest magnitude /
// 32767; the sums over 32 dimensions are exact, the head_dim / 32 sums are added in f32. So, up to
// that f32 rounding, a score is at least q . k for each key k of block i, less u / 2 * sum_j |k_j|.
// 32 dimensions of q that are not all finite count as zero.
void score_blocks(const BoundsView& bounds, const float* q, float* scores);

// Writes the n_select highest of `scores` to ids[0 .. n_select), as ascending indices; equal scores
// go to the lower index. n_select <= scores.size(). No score may be NaN. +inf forces a block in.
void top_k(std::span<const float> scores, size_t n_select, uint32_t* ids);

}  // namespace longhaul
