#include "attention/outlier/summary.h"

#include <vector>

#include "attention/block_groups.h"
#include "base/check.h"
#include "kernels/kv_tile.h"

namespace longhaul {

// Not saved: a state serves whichever selectors an engine keeps data for.
SummarySpec outlier_summary_spec(size_t key_dim) {
  return {.name = kOutlierSummary, .tag = 0, .group_bytes = outlier_group_bytes(key_dim)};
}

SummarySpec OutlierSummary::spec() const {
  SummarySpec spec = outlier_summary_spec(key_dim_);
  spec.summary = this;
  return spec;
}

void OutlierSummary::update(const KeyChange& change) const {
  const size_t block_size = change.block_size;
  const size_t until = end_of_changed_blocks(change);
  const size_t n_complete = change.n_tokens / block_size;
  constexpr size_t kMostTokens = 256;  // of a block
  alignas(64) float keys[kMostTokens * kMaxHeadDim];
  LH_CHECK(block_size <= kMostTokens);
  for (size_t block = change.first / block_size; block < n_complete && block * block_size < until;
       ++block) {
    for (size_t t = 0; t < block_size; ++t)
      change.read_key(block * block_size + t, keys + t * key_dim_);
    outlier_set(change.group(block), block % kGroupBlocks, keys, block_size, key_dim_);
  }
}

void OutlierSummary::blank(std::byte* group, size_t n_tokens, size_t block_size) const {
  const std::vector<float> zeros(key_dim_, 0.0F);
  for (size_t lane = n_tokens / block_size; lane < kGroupBlocks; ++lane)
    outlier_set(group, lane, zeros.data(), 1, key_dim_);
}

BoundsView outlier_blocks(const SummaryView& view, size_t n_blocks) {
  return blocks_of(view, static_cast<const OutlierSummary*>(view.summary)->key_dim(), n_blocks);
}

}  // namespace longhaul
