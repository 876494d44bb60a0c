// What attention on the device works on: plain structures, for kernels and the host, and the tree of
// sums that all kernels share.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/kv_layout.h"
#include "cuda/launch.h"

namespace longhaul::cuda {

// The tree of the sums over a text, cut at fixed positions of it:
//
//   group    kGroupTokens (64, of 256 dims 32): one step of a softmax that keeps a running maximum
//   segment  256 tokens: its groups in ascending order
//   span     2,048 tokens: its segments in ascending order
//   text     its spans in ascending order
//
// For lists of blocks the same, counted in listed tokens. A group, segment or span without a visible
// token changes no bit. A warp that has one row takes a segment, one that has 16 rows walks through
// spans: both give the same bits.
inline constexpr uint32_t kSegmentTokens = 256;
inline constexpr uint32_t kSpanTokens = 2048;
inline constexpr uint32_t kSegmentTiles = kSegmentTokens / kTile;
inline constexpr uint32_t kSpanSegments = kSpanTokens / kSegmentTokens;

inline constexpr uint32_t kTileQueries = 16;    // rows of an mma: (row, head of the group) pairs
inline constexpr uint32_t kChunkQueries = 128;  // queries of a block of threads, for longer steps

// One sequence in a pass; in device memory. Its rows are consecutive positions, the last ones of the
// sequence: row r stands at first_pos + r and sees the tokens up to its own.
struct StepRows {
  uint32_t first_row = 0;
  uint32_t n_rows = 0;
  uint32_t first_pos = 0;
  uint32_t first_page = 0;  // where its page table begins in Pass::pages
  // Blocks that a sparse step of one row reads; 0: all tokens.
  uint32_t n_selected = 0;
  uint32_t n_sinks = 0;  // of them the first and the last ones that are forced in
  uint32_t n_local = 0;
};

// The rows of a pass. The pointers are to device memory; only n_steps, n_rows and max_context shape
// the grids, so a captured launch serves every pass that has them alike.
struct Pass {
  const StepRows* steps = nullptr;      // [n_steps]
  const uint32_t* row_steps = nullptr;  // [n_rows] the step of each row
  const uint32_t* pages = nullptr;      // page tables
  uint32_t n_steps = 0;
  uint32_t n_rows = 0;
  uint32_t max_context = 0;  // no row of the pass sees a token at this position or behind it
};

// K and V of one layer, f16, in device memory: [kv head][page][tile], a tile of K and right behind
// it that of V (kv_layout.h). A page holds 16 blocks.
struct KvLayer {
  std::byte* tiles = nullptr;
  size_t tile_head_stride = 0;  // bytes
  size_t tile_page_stride = 0;
  std::byte* bounds = nullptr;  // one group a page; null: none are kept
  size_t bounds_head_stride = 0;
  size_t bounds_page_stride = 0;
  uint32_t n_kv_heads = 0;
  uint32_t dim = 0;         // of a key and of a value: 64, 96, 128 or 256
  uint32_t block_size = 0;  // tokens: a multiple of 16
  uint32_t window = 0;      // the tokens that a row sees at most; 0: no limit

  LH_HOST_DEVICE uint32_t page_tokens() const { return block_size * kGroupLanes; }
  LH_HOST_DEVICE uint32_t page_tiles() const { return block_size * kGroupLanes / kTile; }
  LH_HOST_DEVICE uint32_t block_tiles() const { return block_size / kTile; }
};

// Chosen blocks of the sparse steps, ascending: those of (step, kv head) begin at ids + (step *
// n_kv_heads + kv head) * stride. In device memory.
struct BlockLists {
  float* scores = nullptr;  // laid out as the ids
  uint32_t* ids = nullptr;
  uint32_t stride = 0;
};

// Softmax states on their way to the merge; in device memory, [n_states] and [n_states, dim].
struct StateMemory {
  float2* ml = nullptr;  // the maximum (base 2) and the sum
  float* o = nullptr;
};

// One call of attention.
struct AttendArgs {
  Pass pass;
  KvLayer kv;
  BlockLists lists;          // ids null: every step is dense
  const float* q = nullptr;  // [n_rows, n_kv_heads * n_group, dim], q_stride floats from row to row
  size_t q_stride = 0;
  uint32_t n_group = 0;  // 1 .. 16
  float scale = 1.0F;
  float* out = nullptr;  // likewise
  size_t out_stride = 0;
  StateMemory states;
  uint32_t n_units = 0;  // segments or spans that the grid provides for each (step, kv head)
  uint32_t n_slots = 0;  // queries of a step that have states, in the kernels of short steps
};

// First token that a row at `pos` sees.
LH_HOST_DEVICE inline uint32_t first_visible(uint32_t pos, uint32_t window) {
  return window > 0 && pos + 1 > window ? pos + 1 - window : 0;
}

// The segments of the text, or of the list, that a short step reads.
struct Segments {
  uint32_t first, last;
};
LH_HOST_DEVICE inline Segments segments_of(const StepRows& step, const KvLayer& kv, bool listed) {
  if (listed) return {0, (step.n_selected * kv.block_tiles() - 1) / kSegmentTiles};
  const uint32_t last = step.first_pos + step.n_rows - 1;
  return {first_visible(step.first_pos, kv.window) / kSegmentTokens, last / kSegmentTokens};
}

// Steps whose queries fit into one mma are split over their text; others are cut into blocks of
// kChunkQueries queries.
LH_HOST_DEVICE inline bool is_short(const StepRows& step, uint32_t n_group) {
  return step.n_rows * n_group <= kTileQueries;
}
LH_HOST_DEVICE inline bool is_listed(const StepRows& step, const BlockLists& lists) {
  return lists.ids != nullptr && step.n_selected > 0 && step.n_rows == 1;
}

}  // namespace longhaul::cuda
