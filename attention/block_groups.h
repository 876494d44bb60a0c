// What the summaries have in common that describe blocks relative to the first block of their group
// (minmax, outlier).
#pragma once

#include <algorithm>

#include "kernels/block_bounds.h"
#include "state/summary.h"

namespace longhaul {

static_assert(kBoundsGroupBlocks == kGroupBlocks);

// Blocks from change.first / block_size on that begin before this token are to be set anew: those
// that changed and, where the first block of a group did, which is the origin of the others, the
// rest of its group.
inline size_t end_of_changed_blocks(const KeyChange& change) {
  const size_t group_tokens = kGroupBlocks * change.block_size;
  const size_t last_group = (change.end - 1) / group_tokens * group_tokens;
  const bool sets_origin = change.first < last_group + change.block_size;
  return sets_origin ? std::min(last_group + group_tokens, change.n_tokens) : change.end;
}

// The first n_blocks blocks of a view, of keys of that width, for the kernels.
inline BoundsView blocks_of(const SummaryView& view, size_t key_dim, size_t n_blocks) {
  return {.base = view.base,
          .page_stride = view.page_stride,
          .pages = view.pages,
          .head_dim = key_dim,
          .n_blocks = n_blocks};
}

}  // namespace longhaul
