// Attention over one group of 64 tokens in 8-bit integers, for q8_0 tiles: a table of kernels for
// each instruction set. See attention.h for the numbers. Private to kernels/; tests use it to force
// a set.
#pragma once

#include <cstddef>

#include "kernels/attention_kernel.h"

namespace longhaul::attention {

// The integers of queries and of probabilities reach these.
inline constexpr float kLargestQuery = 127.0F;
inline constexpr float kLargestP = 255.0F;
// Of the group's largest V scale: a token of a smaller one counts with it, its V is noise.
inline constexpr float kSmallestShare = 0x1p-20F;

struct Int8Kernels {
  const char* name;

  // Rounds queries.f32 [n_queries, key_dim] to 8-bit integers with a scale per 32 dimensions.
  void (*round_queries)(size_t n_queries, size_t key_dim, Queries& queries);

  // Expands the group's K scales to k_scales [key_dim / 32, 64 tokens].
  void (*prepare_keys)(const TileGroup& group, size_t key_dim, float* k_scales);

  // scores[i, token] = q . k in base 2 for the block of queries first .. first + n_queries. With
  // `next`, fetches that group's K into the cache meanwhile.
  void (*scores)(size_t n_queries, const Queries& queries, size_t first, const TileGroup& group,
                 const TileGroup* next, const float* k_scales, size_t key_dim, float* scores);

  // Finds how probabilities become integers for a row that sees the tokens `masks` of the group's
  // tiles.
  void (*prepare_values)(const TileGroup& group, const uint16_t masks[kGroupTiles],
                         size_t value_dim, ValueScales& scales);

  // Turns the scores of a block into the integers of their probabilities, p [value_dim / 32,
  // n_queries, 64 in an order of its own], and merges their maxima (of s + shift) and sums of p
  // into m and l; weights says how o is to be updated. A score of -inf gives zero.
  // With `next`, may fetch some of that group's K into the cache meanwhile.
  void (*softmax)(size_t n_queries, const TileGroup* next, const ValueScales* const* scales,
                  size_t key_dim, size_t value_dim, const float* scores, float* m, float* l,
                  GroupWeights& weights, uint8_t* p);

  // o[i] = o[i] * keep[i] + add[i] * sum over the 64 tokens of p[i, token] v[token], given p of
  // softmax; scales[i] is the one of query i's row. With `next`, fetches that group's V into the
  // cache meanwhile.
  void (*values)(size_t n_queries, const uint8_t* p, const TileGroup& group, const TileGroup* next,
                 const ValueScales* const* scales, size_t value_dim, const GroupWeights& weights,
                 float* o);
};

// With VNNI of 512 bits, of 256 bits (AVX-VNNI); nullptr where the processor lacks it.
const Int8Kernels* avx512_vnni_int8_kernels();
const Int8Kernels* avx_vnni_int8_kernels();
// Of Highway's best set for this processor; nullptr if that has no vectors.
const Int8Kernels* simd_int8_kernels();
// The ones that attend() uses, nullptr if it works in f32.
const Int8Kernels* best_int8_kernels();

// A workspace for attend() with given kernels; nullptr: in f32.
AttentionWorkspace workspace_with(const Int8Kernels* kernels);

}  // namespace longhaul::attention
