// What attention.cc (the plan of tasks) and the SIMD kernels say to each other. Internal to
// kernels/.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/aligned_buffer.h"
#include "kernels/attention.h"

#if defined(__clang__)
#define LH_UNROLL _Pragma("unroll")
#else
#define LH_UNROLL _Pragma("GCC unroll 16")
#endif

namespace longhaul::attention {

struct Int8Kernels;  // attention_int8.h

inline constexpr size_t kGroupTiles = 4;
inline constexpr size_t kGroupTokens = kGroupTiles * kTileTokens;
// Queries that pass a group of tiles together: in int8 their sums fill 16 registers.
inline constexpr size_t kMaxQueryBlock = 8;
// Of the 8-bit p of a query and 32 dimensions; without VNNI they take 16 bits.
inline constexpr size_t kPBytes = 2 * kGroupTokens;
inline constexpr float kLog2E = 1.44269504F;

// Softmax states of queries; a query is one head of one row. The empty state is m = -inf, l = 0, o
// = 0.
struct States {
  float* m;  // [n_queries] the exponent the others are relative to, base 2
  float* l;  // [n_queries] sum of 2^(s - m)
  float* o;  // [n_queries, value_dim] sum of 2^(s - m) v
};

// The block that query i of n belongs to: blocks of equal size, the last may be smaller.
inline size_t query_block_size(size_t n_queries) {
  const size_t n_blocks = (n_queries + kMaxQueryBlock - 1) / kMaxQueryBlock;
  return (n_queries + n_blocks - 1) / n_blocks;
}

// The queries of a task, scaled, and for int8 arithmetic rounded to 8 bits. The integers of a block
// of n queries lie together, so that the kernel finds them at constant distances.
struct Queries {
  AlignedBuffer<float> f32;     // [n_queries, key_dim] times scale * log2(e)
  AlignedBuffer<int8_t> bytes;  // per block [key_dim / 4, n, 4]; without VNNI 16 bits each
  AlignedBuffer<float> scales;  // per block [key_dim / 32, n]
  // Per block [key_dim / 32, n]: -128 * sum of the integers, since K is stored with 128 added.
  AlignedBuffer<int32_t> offsets;
};

// How the probabilities of one row become 8-bit integers in one group. The row's powers are w =
// 2^(s + shift[token] - m), at most 1; p = w * inverse[token] (relative to the same m). The integer
// of chunk c is w * weights[c][token], and a sum of integers times int8 values is worth units[c].
struct ValueScales {
  float shift[kGroupTokens];
  float inverse[kGroupTokens];
  float weights[kMaxHeadDim / kScaleDims][kGroupTokens];
  float units[kMaxHeadDim / kScaleDims];
};

// What a worker needs while it walks tiles.
struct Scratch {
  const void* block = nullptr;  // whose queries these are
  Queries queries;
  AlignedBuffer<float> k;  // f32: [key_dim, 64 tokens]; int8: scales [key_dim / 32, 64 tokens]
  AlignedBuffer<float> v;  // f32: [64 tokens, value_dim]
  // int8: [1 + kMaxQueryBlock], of a group that all rows see whole, then of single rows.
  AlignedBuffer<ValueScales> value_scales;
  AlignedBuffer<float> scores;   // [kMaxQueryBlock, 64 tokens]
  AlignedBuffer<uint8_t> p;      // int8: [value_dim / 32, queries of a block, up to kPBytes]
  AlignedBuffer<float> m, l, o;  // states of the segment
  AlignedBuffer<float> total_m, total_l, total_o;  // states of the walk
};

// Four tiles in list order; after the last listed one its pointers repeat with mask 0.
struct TileGroup {
  const std::byte* k[kGroupTiles];
  const std::byte* v[kGroupTiles];
  uint32_t first_pos[kGroupTiles];
  uint16_t mask[kGroupTiles];
};

// How a group enters the states of a query block: o = o * keep + add * o of the group, and l
// likewise.
struct GroupWeights {
  float keep[kMaxQueryBlock];
  float add[kMaxQueryBlock];
};

// The tokens of tile j that a row at position `pos` sees.
inline uint16_t visible(const TileGroup& group, size_t j, uint32_t pos) {
  if (pos < group.first_pos[j]) return 0;
  const uint32_t n = pos - group.first_pos[j] + 1;
  return n >= kTileTokens ? group.mask[j] : static_cast<uint16_t>(group.mask[j] & ((1U << n) - 1U));
}

// Some tiles of a sequence in order.
struct TileRange {
  const KvView* kv;
  const TileRef* list;  // null: the tiles first_tile, first_tile + 1, ...
  uint32_t first_tile;
  size_t n_tiles;
};

// The tiles of one segment for a block of rows.
struct SegmentTask {
  TileRange tiles;
  const TileRange* following;  // what the worker reads next, likely; same shape; or null
  size_t n_rows;
  size_t n_group;
  uint32_t first_pos;  // of the first row
  bool int8_keys;
  bool int8_values;
  const Int8Kernels* int8;  // if either
  Scratch* scratch;         // holds the prepared queries
  States states;            // written from empty
};

// Runs one task on the SIMD target of this CPU.
void attend_segment(const SegmentTask& task);

// The scores of a task's tiles in base 2, in f32 arithmetic: scores[query * stride + tile * 16 +
// token], -inf where the row does not see the token. Room for n_tiles rounded up to a whole group.
void segment_scores(const SegmentTask& task, float* scores, size_t stride);

// Merges `from` into `into` for n queries, as described in attention.h. An empty `from` changes no
// bit.
void merge_states(const States& into, const States& from, size_t n_queries, size_t value_dim);

void set_empty(const States& states, size_t n_queries, size_t value_dim);

}  // namespace longhaul::attention
