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

// How the probabilities of one row become 8-bit integers in one group:
//
//   power    w = 2^(s + shift[token] - m), at most 1
//   p        w * inverse[token], relative to the same m
//   integer  w * weights[c][token] in chunk c
//   o        the sum of integers times int8 values, times units[c]
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
  AlignedBuffer<float> scores;  // [kMaxQueryBlock, 64 tokens]
  AlignedBuffer<uint8_t> p;     // int8: [value_dim / 32, queries of a block, up to kPBytes]
  StateBuffer segment, total;   // of a walk
};

// Four tiles in list order. For places before the window or after the last tile the nearest tile
// stands, with mask 0.
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

// The positions that are seen: first to last, none if first > last.
struct Sight {
  uint32_t first;
  uint32_t last;
};

// Of a row at position `pos`.
inline Sight sight_from(uint32_t pos, size_t window, size_t step) {
  return {first_seen(pos, window, step), pos};
}

// The tokens of tile j that are seen.
inline uint16_t visible(const TileGroup& group, size_t j, Sight sight) {
  const uint32_t first = group.first_pos[j];
  const auto last = static_cast<uint32_t>(first + kTileTokens - 1);
  if (sight.last < first || sight.first > last) return 0;
  uint32_t mask = group.mask[j];
  if (sight.last < last) mask &= (2U << (sight.last - first)) - 1U;
  if (sight.first > first) mask &= ~0U << (sight.first - first);
  return static_cast<uint16_t>(mask);
}

// Some tiles of a sequence in order, from the start of a group on.
struct TileRange {
  const KvView* kv;
  const TileRef* list;  // null: the tiles first_tile, first_tile + 1, ...
  uint32_t first_tile;
  size_t n_tiles;
  size_t n_before;  // of the first group: tiles before the window, which are not touched
};

// The tiles of one segment for a block of rows.
struct SegmentTask {
  TileRange tiles;
  const TileRange* following;  // what the worker reads next, likely; same shape; or null
  size_t n_rows;
  size_t n_group;
  uint32_t first_pos;  // of the first row
  size_t window, window_step;
  bool int8_keys;
  bool int8_values;
  const Int8Kernels* int8;  // if either
  Scratch* scratch;         // holds the prepared queries
  AttentionStates states;   // written from empty

  uint32_t last_pos() const { return first_pos + static_cast<uint32_t>(n_rows - 1); }
  Sight sight_of(size_t query) const {
    return sight_from(first_pos + static_cast<uint32_t>(query / n_group), window, window_step);
  }
  Sight sight_of_any() const {
    return {sight_from(first_pos, window, window_step).first, last_pos()};
  }
  Sight sight_of_all() const {
    return {sight_from(last_pos(), window, window_step).first, first_pos};
  }
};

// Runs one task on the SIMD target of this CPU.
void attend_segment(const SegmentTask& task);

// The scores of a task's tiles in base 2, in f32 arithmetic: scores[query * stride + tile * 16 +
// token], -inf where the row does not see the token. Room for n_tiles rounded up to a whole group.
void segment_scores(const SegmentTask& task, float* scores, size_t stride);

}  // namespace longhaul::attention
