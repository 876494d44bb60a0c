// Attention over one group of 64 tokens in int8, for q8_0 tiles on CPUs with AVX512-VNNI: one
// instruction adds 4 products in each of 16 lanes. See attention.h for the numbers.
#pragma once

#include <cstddef>

#include "kernels/attention_kernel.h"

namespace longhaul::attention {

// Whether this CPU and operating system have AVX-512 F, BW, DQ, VL and VNNI. The functions below
// need it.
bool has_vnni();

// Rounds queries.f32 [n_queries, head_dim] to 8-bit integers with a scale per 32 dimensions.
void round_queries_vnni(size_t n_queries, size_t head_dim, Queries& queries);

// Expands the group's K scales to k_scales [head_dim / 32, 64 tokens].
void prepare_keys_vnni(const TileGroup& group, size_t head_dim, float* k_scales);

// scores[i, token] = q . k in base 2 for the block of queries first .. first + n_queries. With
// `next`, fetches that group's K into the cache meanwhile.
void scores_vnni(size_t n_queries, const Queries& queries, size_t first, const TileGroup& group,
                 const TileGroup* next, const float* k_scales, size_t head_dim, float* scores);

// Finds how probabilities become integers for a row that sees the tokens `masks` of the group's
// tiles.
void prepare_values_vnni(const TileGroup& group, const uint16_t masks[kGroupTiles], size_t head_dim,
                         ValueScales& scales);

// Turns the scores of a block into the integers of their probabilities, p [head_dim / 32,
// n_queries, 64 bytes in the order of values_vnni], and merges their maxima (of s + shift) and sums
// of p into m and l; weights says how o is to be updated. A score of -inf gives zero.
// With `next`, may fetch some of that group's K into the cache meanwhile.
void softmax_vnni(size_t n_queries, const TileGroup* next, const ValueScales* const* scales,
                  size_t head_dim, const float* scores, float* m, float* l, GroupWeights& weights,
                  uint8_t* p);

// o[i] = o[i] * keep[i] + add[i] * sum over the 64 tokens of p[i, token] v[token], given p of
// softmax_vnni; scales[i] is the one of query i's row. With `next`, fetches that group's V into the
// cache meanwhile.
void values_vnni(size_t n_queries, const uint8_t* p, const TileGroup& group, const TileGroup* next,
                 const ValueScales* const* scales, size_t head_dim, const GroupWeights& weights,
                 float* o);

}  // namespace longhaul::attention
