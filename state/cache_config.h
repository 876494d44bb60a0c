// What a paged slot is made of: the shapes, the storage types, the capacity.
#pragma once

#include <cstddef>
#include <vector>

#include "base/result.h"
#include "kernels/kv_tile.h"
#include "longhaul/options.h"
#include "state/summary.h"

namespace longhaul {

struct CacheConfig {
  size_t n_layers = 0;  // whose keys and values these are
  size_t n_kv_heads = 0;
  size_t key_dim = 0;    // a multiple of 32, at most 256
  size_t value_dim = 0;  // likewise
  KvType k_type = KvType::kF16;
  KvType v_type = KvType::kF16;
  size_t block_size = 16;  // tokens of one summary: a power of two from 4 to 256
  // Tokens that a query sees, itself included; 0: all before it. Older pages are given back.
  size_t window = 0;
  size_t max_tokens = 0;     // capacity, all sequences together
  size_t max_positions = 0;  // of one sequence with a window; 0: max_tokens
  std::vector<SummarySpec> summaries = {};

  // A page holds exactly one group of each summary, so that one page table serves them all.
  size_t page_tokens() const { return kGroupBlocks * block_size; }
  size_t tiles_per_page() const { return page_tokens() / kTileTokens; }
  size_t n_pages() const { return (max_tokens + page_tokens() - 1) / page_tokens(); }
  // The most of a sequence of n_tokens tokens that is held between passes, in whole pages.
  size_t held_tokens(size_t n_tokens) const;
};

// An Error that names the field, what is allowed and what was found; success means that no size
// computed from the configuration can overflow.
Status validate(const CacheConfig& config);

}  // namespace longhaul
