// Block descriptors of two points: the key of a block that is least like the others (its outlier),
// and the mean of the others with one number for how far these lie from it. A query's score is what
// the better of the two promises. On the keys of trained models two such points find most of what
// reading every key would (docs/quality.md): most blocks are a cloud, some hold one key that nearly
// all queries look for, and a box around both says neither.
//
//   outlier  the key with the greatest sum over dimensions of (key - mean of all)^4; of equals the
//            first
//   spread   root mean square, over the other keys and all dimensions, of key - mean of the others
//
// Both points are rotated (hadamard.h) and relative to the mean of block 0 of the group: origin +
// step * (2 c - last), c in 0 .. last, with a step for each 32 dimensions of a point. The mean has 5
// bits a dimension and decides between most blocks; the outlier, far from the others where it
// matters, has 3. Keys of trained models have dimensions of large and nearly constant value, which
// the origin takes, and others that vary most, which the rotation shares out.
//
// A group of 16 blocks in memory, lane = block:
//
//   [head_dim / 32][{mean, outlier}][16 blocks]  f16 steps
//   [head_dim / 32]                              f32 steps of the origin, which are halves
//   [head_dim]                                   i8 origin
//   [16 blocks]                                  f16 spreads; up to here a multiple of 64 bytes
//   [head_dim / 4][16 blocks][4]                 u8 c of the mean + 32 * c of the outlier
//
// Magnitudes above 2^13, and NaN, count as 2^13, so that scores are always finite.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/block_bounds.h"

namespace longhaul {

// Bytes of one group of 16 blocks. head_dim is a multiple of 32, at most kMaxHeadDim.
size_t outlier_group_bytes(size_t head_dim);

// Describes the n_keys keys [n_keys, head_dim] as block `lane` of the group. Lane 0 sets the origin
// too: after it every other block of the group that is in use must be set anew.
void outlier_set(std::byte* group, size_t lane, const float* keys, size_t n_keys, size_t head_dim);

// The queries of a group of heads, and how their scores are to be read.
struct OutlierQueries {
  const float* q = nullptr;  // [n, head_dim]
  size_t n = 0;
  float scale = 1.0F;     // of q . k; usually 1 / sqrt(head_dim)
  size_t block_size = 0;  // keys of a block
};

// scores[h * stride + i], for query h and block i < blocks.n_blocks, estimates the logarithm of the
// sum of exp(scale * q . k) over the keys k of the block:
//
//   max(scale * (q . mean + |q| * spread) + log(block_size - 1), scale * q . outlier)
//
// with each 32 dimensions of the rotated q rounded to multiples of their largest magnitude / 66 (and
// all of a q that is not finite zero). |q| * spread is what a key one deviation towards the query
// would have.
void score_blocks(const BoundsView& blocks, const OutlierQueries& queries, float* scores,
                  size_t stride);

}  // namespace longhaul
