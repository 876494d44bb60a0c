#include "attention/selector.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "kernels/block_bounds.h"
#include "kernels/kv_tile.h"
#include "kernels/ops.h"

namespace longhaul {
namespace {

// Bits [first, last) of a tile's mask.
uint16_t mask_bits(size_t first, size_t last) {
  return static_cast<uint16_t>(((1U << last) - 1U) & ~((1U << first) - 1U));
}

size_t count_above(std::span<const float> scores, double threshold) {
  return static_cast<size_t>(std::count_if(scores.begin(), scores.end(), [=](float score) {
    return static_cast<double>(score) > threshold;
  }));
}

}  // namespace

const SummaryView* SelectionInput::find_summary(std::string_view name) const {
  for (const SummaryView& view : summaries) {
    if (view.name == name) return &view;
  }
  return nullptr;
}

void mean_over_group(const AttentionJob& job, float* mean) {
  const size_t key_dim = job.kv.key_dim;
  for (size_t j = 0; j < key_dim; ++j) {
    float sum = 0.0F;
    for (size_t head = 0; head < job.n_group; ++head) sum += job.q[head * key_dim + j];
    mean[j] = sum / static_cast<float>(job.n_group);
  }
}

size_t n_selected_blocks(const AttentionOptions& options, const Selector& selector, size_t n_blocks,
                         size_t block_size) {
  const size_t n_sinks = std::max(options.sink_blocks, selector.least_sink_blocks);
  const size_t n_forced = std::min(n_blocks, options.local_blocks + n_sinks);
  size_t n_selected = 0;
  if (options.gate_threshold > 0) {
    n_selected = 0;
  } else if (options.token_budget > 0) {
    n_selected = options.token_budget / block_size;
  } else {
    // The small term keeps 0.1 * 30 = 3.0000000000000004 from becoming 4 blocks.
    const double share = options.sparse_ratio * static_cast<double>(n_blocks);
    n_selected = std::max(static_cast<size_t>(std::ceil(share - 1e-9)),
                          std::min(n_blocks, options.min_blocks));
  }
  return std::clamp(n_selected, std::max<size_t>(n_forced, 1), n_blocks);
}

void SelectionBuffer::reserve(size_t n_blocks, size_t block_size, size_t head_dim) {
  q_mean_.ensure(head_dim);
  if (n_blocks <= scores_.size()) return;
  constexpr size_t kLeastBlocks = 1024;
  // By doubling: a growing context reallocates rarely.
  n_blocks = std::max({n_blocks, 2 * scores_.size(), kLeastBlocks});
  scores_.ensure(n_blocks);
  ids_.ensure(n_blocks);
  tiles_.ensure(n_blocks * std::max<size_t>(1, block_size / kTileTokens));
}

TileChoice SelectionBuffer::select(const Selector& selector, const AttentionOptions& options,
                                   SelectionInput input, size_t n_tokens,
                                   AttentionWorkspace& workspace) {
  const size_t n_blocks = input.n_blocks;
  LH_CHECK(n_blocks > 0 && n_blocks <= scores_.size() && input.query->n_rows == 1);
  size_t n_selected = n_selected_blocks(options, selector, n_blocks, input.block_size);
  mean_over_group(*input.query, q_mean_.data());
  input.q_mean = q_mean_.data();
  input.scratch = &scratch_;
  input.capacity = scores_.size();

  const auto scores = scores_.span().first(n_blocks);
  selector.score(input, scores, workspace);
  if (options.gate_threshold > 0) softmax_in_place(scores.data(), n_tokens / input.block_size);
  constexpr float kForced = std::numeric_limits<float>::infinity();
  const size_t n_sinks =
      std::min(n_blocks, std::max(options.sink_blocks, selector.least_sink_blocks));
  const size_t n_local = std::min(n_blocks, options.local_blocks);
  std::fill(scores.begin(), scores.begin() + static_cast<std::ptrdiff_t>(n_sinks), kForced);
  std::fill(scores.end() - static_cast<std::ptrdiff_t>(n_local), scores.end(), kForced);

  if (options.gate_threshold > 0) n_selected = count_above(scores, options.gate_threshold);
  top_k(scores, n_selected, ids_.data());
  n_ids_ = n_selected;
  if (n_selected == n_blocks) return {true, {}, n_blocks};
  const size_t n_tiles = expand_blocks(block_ids(), input.block_size, n_tokens, tiles_.span());
  return {false, {tiles_.data(), n_tiles}, n_selected};
}

size_t expand_blocks(std::span<const uint32_t> block_ids, size_t block_size, size_t n_tokens,
                     std::span<TileRef> tiles) {
  size_t n_tiles = 0;
  for (const uint32_t block : block_ids) {
    const size_t first = block * block_size;
    const size_t last = std::min(first + block_size, n_tokens);
    for (size_t pos = first; pos < last;) {
      const size_t tile = pos / kTileTokens;
      const size_t tile_end = std::min((tile + 1) * kTileTokens, last);
      const uint16_t mask = mask_bits(pos % kTileTokens, tile_end - tile * kTileTokens);
      if (n_tiles > 0 && tiles[n_tiles - 1].tile == tile) {
        tiles[n_tiles - 1].mask |= mask;
      } else {
        LH_DCHECK(n_tiles < tiles.size());
        tiles[n_tiles++] = TileRef{static_cast<uint32_t>(tile), mask};
      }
      pos = tile_end;
    }
  }
  return n_tiles;
}

}  // namespace longhaul
