// Block selection for sparse steps: a selector scores the blocks of one (sequence, layer, kv head),
// the rest (how many, which are forced, top-k) is the same for all. Each selector is a folder
// beside this file; CMake makes the registry.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "attention/setup.h"
#include "base/aligned_buffer.h"
#include "kernels/attention.h"
#include "longhaul/options.h"
#include "state/summary.h"

namespace longhaul {

// What a selector may look at. `query` is the job of the step: one row, its K and V.
struct SelectionInput {
  const AttentionJob* query = nullptr;  // n_rows == 1; q is [n_group, head_dim], after RoPE
  const float* q_mean = nullptr;        // [head_dim], mean of q over the group
  size_t block_size = 0;                // tokens
  size_t n_blocks = 0;
  std::span<const SummaryView> summaries;   // all that selectors keep of this (layer, KV head)
  AlignedBuffer<float>* scratch = nullptr;  // for whatever a selector computes on the way
  size_t capacity = 0;  // n_blocks may grow to this before a buffer grows: sizes of `scratch`

  // The summary of that name, or nullptr.
  const SummaryView* find_summary(std::string_view name) const;
};

// One way of scoring blocks; higher is better. Stateless, shared by threads.
struct Selector {
  std::string_view name;
  // Writes n_blocks finite scores. Must not depend on anything but the input.
  void (*score)(const SelectionInput& input, std::span<float> scores,
                AttentionWorkspace& workspace);
  size_t least_sink_blocks = 0;  // sinks that belong to the method itself
  // Its scores are logits of a distribution over the complete blocks, so that
  // AttentionOptions::gate_threshold applies.
  bool gives_logits = false;
  std::string_view summary = {};        // the name of the summary it scores from, if any
  const SummaryMaker* keeps = nullptr;  // makes that summary; null: it keeps nothing
  // Kept wherever its file is given; other summaries where SelectorSetup::kept names the selector.
  bool learned = false;
  std::string_view data = {};  // what makes it, for messages: "a gate file"
};

// The selector of that name, or nullptr.
const Selector* find_selector(std::string_view name);
// In the order of their names.
std::span<const Selector* const> all_selectors();

// How many of n_blocks a step reads: max(ceil(ratio * n_blocks), min(n_blocks, min_blocks))
// (ReSA, arXiv 2506.04108), or token_budget / block_size where a budget is given; never fewer than
// the forced blocks, never more than there are. With a threshold it depends on the scores: then it
// is the least it can be.
size_t n_selected_blocks(const AttentionOptions& options, const Selector& selector, size_t n_blocks,
                         size_t block_size);

// mean[head_dim] = the mean query of the group, row 0 of the job: what is compared with the
// descriptors.
void mean_over_group(const AttentionJob& job, float* mean);

// What a job reads: every tile, or those listed. A list of every tile is not the same to a bit
// (its segments are longer), so where every block is chosen all_tiles says so.
struct TileChoice {
  bool all_tiles = false;
  std::span<const TileRef> tiles;
  size_t n_blocks = 0;  // chosen
};

// Room for the selections of one kv head; reused from step to step, grown only when the context
// grows.
class SelectionBuffer {
 public:
  // Makes room for contexts of up to n_blocks blocks.
  void reserve(size_t n_blocks, size_t block_size, size_t head_dim);

  // Chooses the blocks of one step. The tiles stay valid until the next call. Ties go to the lower
  // index.
  TileChoice select(const Selector& selector, const AttentionOptions& options, SelectionInput input,
                    size_t n_tokens, AttentionWorkspace& workspace);
  // The blocks behind the last answer, ascending.
  std::span<const uint32_t> block_ids() const { return {ids_.data(), n_ids_}; }

 private:
  AlignedBuffer<float> scores_, q_mean_, scratch_;
  AlignedBuffer<uint32_t> ids_;
  AlignedBuffer<TileRef> tiles_;
  size_t n_ids_ = 0;
};

// Writes the tiles that hold the tokens of `block_ids` (ascending) below n_tokens; returns how
// many. Blocks smaller than a tile become bits of its mask; the last tile's mask stops at n_tokens.
size_t expand_blocks(std::span<const uint32_t> block_ids, size_t block_size, size_t n_tokens,
                     std::span<TileRef> tiles);

}  // namespace longhaul
