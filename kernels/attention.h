// The attention kernel: rows of queries against the KV tiles of one (sequence, KV head), all tiles
// or a list of them.
//
// The numbers, in this order for every row and head whatever the rows, the threads and the split
// into tasks:
//
//   Segments  The text is cut at fixed positions: every kSegmentTiles tiles, for lists every
//             kListSegmentTiles. A segment is those of its tiles that are read, ascending, in
//             groups of 4 counted from its start. So a part of a text can be computed alone.
//   Groups    A group gives a softmax state: m = the highest score (base 2, scale * log2(e) is
//             folded into q), l = the sum of p = 2^(s - m), o = sum p v. A masked token has p = 0
//             exactly; p below 2^-100 is 0.
//   Merging   m = max, l and o of each are weighted by 2^(own m - m). Groups merge into the state
//             of their segment and segments into the total, in ascending order. A group without a
//             visible token changes no bit, so a row inside a chunk and the row alone agree.
//   f32       (f16 caches, and where Highway has no vectors) K and V are read as read_k and read_v
//             give them.
//   int8      (q8_0) q is rounded per (row, head, 32 dimensions) to 8 bits and p * v_scale per
//             (row, head, 32 dimensions, group) to 8 bits, relative to the largest p * v_scale that
//             the row sees in the group (m is then the highest score plus log2 of v_scale), so that
//             a token of high probability and small value does not hide the others. The integer
//             sums are exact, l is of the unrounded p. The error is of the size of q8_0's own:
//             docs/kv-arithmetic.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "kernels/kv_tile.h"
#include "longhaul/options.h"

namespace longhaul {

class ThreadPool;

// Tiles of text in a segment (2,048 tokens), and in one of a list (8,192). The latter decides how
// many tasks a sparse step has and how many of its groups are not full: at 32,768 tokens, of which
// a tenth is read, for 2 KV heads 8 tasks and 3 % more groups than without cuts. 16,384 tokens
// would make 4 tasks and 1 % more groups, 4,096 tokens 16 tasks and 6 %.
inline constexpr size_t kSegmentTiles = 128;
inline constexpr size_t kListSegmentTiles = 512;

// K and V of one (sequence, layer, KV head) in paged storage: per 16 tokens a K tile and right
// behind it the V tile, so that a listed tile is one piece of memory and not two.
struct KvView {
  const std::byte* base = nullptr;  // arena of this layer, already offset to this head
  size_t page_stride = 0;           // bytes from one page to the next
  const uint32_t* pages = nullptr;  // page table of the sequence: logical page -> page in the arena
  // A power of two; tile t is tile t % tiles_per_page of pages[t / tiles_per_page].
  size_t tiles_per_page = 1;
  KvType k_type = KvType::kF16;
  KvType v_type = KvType::kF16;
  // Numbers of a key and of a value of one token, each a multiple of 32, at most kMaxHeadDim.
  size_t key_dim = 0;
  size_t value_dim = 0;

  // The tile with K, and that with V, of tokens 16 * tile to 16 * tile + 15.
  const std::byte* k_tile(size_t tile) const {
    const size_t tile_bytes = k_tile_bytes(k_type, key_dim) + v_tile_bytes(v_type, value_dim);
    return base + pages[tile / tiles_per_page] * page_stride + tile % tiles_per_page * tile_bytes;
  }
  const std::byte* v_tile(size_t tile) const {
    return k_tile(tile) + k_tile_bytes(k_type, key_dim);
  }
};

// Which of a tile's 16 tokens are wanted: bit i of the mask is token 16 * tile + i of the sequence.
struct TileRef {
  uint32_t tile;
  uint16_t mask;
};

// The first position that a row at `pos` sees (AttentionJob::window, window_step).
inline uint32_t first_seen(uint32_t pos, size_t window, size_t window_step) {
  const size_t end = window_step == 0 ? size_t{pos} + 1 : (pos / window_step + 1) * window_step;
  return window == 0 || end <= window ? 0 : static_cast<uint32_t>(end - window);
}

// Rows of one sequence and one KV head. The heads of the group lie side by side in a row.
struct AttentionJob {
  KvView kv;
  bool all_tiles = true;           // every tile that a row may see, or
  std::span<const TileRef> tiles;  // these, ascending, no tile twice
  const float* q = nullptr;        // [n_rows, n_group, key_dim], q_stride floats from row to row
  size_t q_stride = 0;
  size_t n_rows = 0;
  size_t n_group = 0;
  uint32_t first_pos = 0;  // row r stands at first_pos + r and sees the tokens up to its own
  // The tokens that a row sees at most, its own and those right before it; 0: no limit. Tiles
  // wholly before the window of row 0 are not touched, nor are their entries in the page table.
  size_t window = 0;
  // Blockwise causal attention (LeX, arXiv 2212.10554): the window begins with a block of so many
  // tokens, as that of the block's last row does; 0: it slides. A divisor of `window`.
  size_t window_step = 0;
  float scale = 1.0F;  // usually 1 / sqrt(key_dim)
  // [n_rows, n_group, value_dim], out_stride floats from row to row; a row that sees no token gets
  // zeros.
  float* out = nullptr;
  size_t out_stride = 0;
};

// Softmax states of queries; a query is one head of one row. The empty state, of a query that saw
// no token, is m = -inf, l = 0, o = 0; any other has l > 0. Merging it changes no bit of the other,
// merging into it gives the other. A view.
struct AttentionStates {
  float* m = nullptr;  // [n_queries] the exponent that l and o are relative to, base 2
  float* l = nullptr;  // [n_queries] sum of 2^(s - m)
  float* o = nullptr;  // [n_queries, value_dim] sum of 2^(s - m) v
  size_t n_queries = 0;
  size_t value_dim = 0;

  // n of the queries, from `first` on.
  AttentionStates queries(size_t first, size_t n) const {
    return {m + first, l + first, o + first * value_dim, n, value_dim};
  }
};

void set_empty(const AttentionStates& states);

// Merges `from`, of text behind that of `into`, for the same queries.
void merge(const AttentionStates& into, const AttentionStates& from);

// out = o / l, zeros for the empty state. Query i is head i % n_group of row i / n_group; `out` is
// laid out as that of a job.
void finish(const AttentionStates& states, size_t n_group, float* out, size_t out_stride);

// Memory of states, which grows and is reused.
class StateBuffer {
 public:
  // Room for states; they hold anything, and those of the last call are gone.
  AttentionStates make(size_t n_queries, size_t value_dim);

 private:
  AlignedBuffer<float> m_, l_, o_;
};

// Part of a text, in tiles: from one border of the job's segments (a multiple of kSegmentTiles or,
// for lists, of kListSegmentTiles) to another, or to behind the last tile that a row sees.
struct TextPart {
  size_t first_tile = 0;
  size_t end_tile = std::numeric_limits<size_t>::max();
};

// The states of the segments that attend_part() computed, for each of its jobs in ascending order.
class SegmentStates {
 public:
  size_t n_segments(size_t job) const { return jobs_[job].n_segments; }
  // [n_rows * n_group] queries of the job.
  AttentionStates segment(size_t job, size_t i) const;

  struct Shape {
    size_t n_segments, n_queries, value_dim;
  };
  // Makes room for jobs of these shapes.
  void resize(std::span<const Shape> jobs);

 private:
  struct Place : Shape {
    size_t first_query, first_number;  // in all_
  };
  std::vector<Place> jobs_;
  StateBuffer buffer_;
  AttentionStates all_;
};

// Buffers of attend(). They grow when a call needs more and are reused, so that decoding allocates
// nothing per token. One call at a time.
class AttentionWorkspace {
 public:
  // use_int8: work in int8 on q8_0 caches; otherwise in f32 everywhere.
  explicit AttentionWorkspace(bool use_int8 = true);
  ~AttentionWorkspace();
  AttentionWorkspace(AttentionWorkspace&&) noexcept;
  AttentionWorkspace& operator=(AttentionWorkspace&&) noexcept;

  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

// out = softmax(q k^T * scale) v over the visible tokens, for every job. The bits of a row and head
// do not depend on the other rows and jobs nor on the number of threads.
void attend(ThreadPool& pool, std::span<const AttentionJob> jobs, AttentionWorkspace& workspace);

// The part of attend() that lies in a part of each job's text (parts[i] of jobs[i]): the states of
// its segments. Merged in order, part after part, into the empty state and finished, they give the
// bits of attend(). A segment of which a row sees nothing has the empty state. Tiles outside the
// part are not touched, nor are their entries in the page table; `out` is not used.
void attend_part(ThreadPool& pool, std::span<const AttentionJob> jobs,
                 std::span<const TextPart> parts, AttentionWorkspace& workspace,
                 SegmentStates& states);

// The true share of each block, for measuring a selector: masses[b] = softmax probability of tokens
// [b * block_size, (b + 1) * block_size), the maximum over the heads of the group, for row 0 of the
// job, b < n_blocks. Tokens that row 0 does not see or the job does not list count nothing. In f32
// and f64, on one thread.
void block_masses(const AttentionJob& job, size_t block_size, size_t n_blocks, float* masses,
                  AttentionWorkspace& workspace);

}  // namespace longhaul
