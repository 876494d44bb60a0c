#include "attention/minmax/summary.h"

#include <algorithm>
#include <vector>

#include "attention/block_groups.h"
#include "base/check.h"
#include "kernels/kv_tile.h"

namespace longhaul {

// Not saved: a state serves whichever selectors an engine keeps data for.
SummarySpec bounds_summary_spec(size_t key_dim) {
  return {.name = kBoundsSummary, .tag = 0, .group_bytes = bounds_group_bytes(key_dim)};
}

SummarySpec BoundsSummary::spec() const {
  SummarySpec spec = bounds_summary_spec(key_dim_);
  spec.summary = this;
  return spec;
}

void BoundsSummary::update(const KeyChange& change) const {
  const size_t block_size = change.block_size;
  const size_t until = end_of_changed_blocks(change);
  for (size_t block = change.first / block_size; block * block_size < until; ++block)
    set(change, block, std::min((block + 1) * block_size, change.n_tokens));
}

// Makes the bounds of a block the box around its tokens up to `end`, as attention reads them.
void BoundsSummary::set(const KeyChange& change, size_t block, size_t end) const {
  const size_t first = block * change.block_size;
  LH_DCHECK(first < end);
  alignas(64) float key[kMaxHeadDim];
  alignas(64) float lowest[kMaxHeadDim];
  alignas(64) float highest[kMaxHeadDim];
  change.read_key(first, lowest);
  std::copy_n(lowest, key_dim_, highest);
  for (size_t pos = first + 1; pos < end; ++pos) {
    change.read_key(pos, key);
    for (size_t j = 0; j < key_dim_; ++j) {
      lowest[j] = std::min(lowest[j], key[j]);
      highest[j] = std::max(highest[j], key[j]);
    }
  }
  bounds_set(change.group(block), block % kGroupBlocks, lowest, highest, key_dim_);
}

void BoundsSummary::blank(std::byte* group, size_t n_tokens, size_t block_size) const {
  const size_t n_blocks = (n_tokens + block_size - 1) / block_size;
  const std::vector<float> zeros(key_dim_, 0.0F);
  for (size_t lane = n_blocks; lane < kGroupBlocks; ++lane)
    bounds_set(group, lane, zeros.data(), zeros.data(), key_dim_);
}

BoundsView block_bounds(const SummaryView& view, size_t n_blocks) {
  return blocks_of(view, static_cast<const BoundsSummary*>(view.summary)->key_dim(), n_blocks);
}

}  // namespace longhaul
