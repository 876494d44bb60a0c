// Block descriptors: per block of tokens a box around its keys (element-wise minimum and maximum),
// as read_k gives them, and the score made from it: an upper bound of q . k over the block (Quest,
// ReSA). Also the choice of the highest scores.
//
// A box has per dimension a centre and a radius, 4 bits each, c and r in 0 .. 15:
//
//   origin + centre_step * (2 * c - 15)  +-  radius_step * (5 + r)
//
//   centre  rounded to the nearest
//   radius  rounded outward, so that the box holds the keys; few dimensions have less than a
//           quarter of the largest one, so steps from there are finer
//   steps   shared by 32 dimensions of a block: halves as small as the largest centre and radius
//           allow
//   origin  shared by 16 blocks of one (layer, KV head), which form a group so that lane = block:
//           where the keys of block 0 all lie farther from zero than they spread (|middle| >
//           maximum - minimum) their middle in 8 bits, elsewhere zero. Keys of trained models have
//           dimensions of large and nearly constant value, which would leave 4 bits nothing for the
//           others (docs/quality.md).
//
// A group in memory:
//
//   [head_dim / 32][{centre, radius}][16 blocks]  f16 steps
//   [head_dim / 32]                               f32 steps of the origin, which are halves
//   [head_dim]                                    i8 origin; up to here a multiple of 64 bytes
//   [head_dim / 4][16 blocks][4]                  u8 c + 16 * r
//
// So a descriptor is a function of the set of keys of its block and of that of block 0, whatever
// their order. Magnitudes above 2^18, and NaN, count as 2^18, so that scores are always finite.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace longhaul {

inline constexpr size_t kBoundsGroupBlocks = 16;

// Bytes of one group of 16 blocks. head_dim is a multiple of 32.
size_t bounds_group_bytes(size_t head_dim);

// Makes block `lane` of the group the box around keys that span [lowest, highest], [head_dim] each.
// Lane 0 sets the origin too: after it every other block of the group that is in use must be set
// anew.
void bounds_set(std::byte* group, size_t lane, const float* lowest, const float* highest,
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

// scores[i] = sum_j q[j] * centre[i][j] + |q[j]| * radius[i][j] for i < n_blocks; q is [head_dim].
// Each 32 dimensions of q are first rounded to the nearest multiples of u = their largest magnitude
// / 127; the sums over 32 dimensions are exact, their products with the steps are added in f32.
// So, up to that f32 rounding, a score is at least q . k for each key k of block i, less u / 2 *
// sum_j |k_j|. 32 dimensions of q that are not all finite count as zero.
void score_blocks(const BoundsView& bounds, const float* q, float* scores);

// Writes the n_select highest of `scores` to ids[0 .. n_select), as ascending indices; equal scores
// go to the lower index. n_select <= scores.size(). No score may be NaN. +inf forces a block in.
void top_k(std::span<const float> scores, size_t n_select, uint32_t* ids);

}  // namespace longhaul
