// What a KV cache is made of: the shapes, the storage types, the capacity.
#pragma once

#include <cstddef>

#include "base/result.h"
#include "kernels/block_bounds.h"
#include "kernels/kv_tile.h"
#include "longhaul/options.h"

namespace longhaul {

struct CacheConfig {
  size_t n_layers =
      0;  // layers that own keys and values; layers may share one (the model maps them)
  size_t n_kv_heads = 0;
  size_t head_dim = 0;  // a multiple of 32, at most 256
  KvType k_type = KvType::kF16;
  KvType v_type = KvType::kF16;
  size_t block_size = 16;  // tokens of one descriptor: a power of two from 4 to 256
  size_t gate_dim = 0;     // dimensions of a gate key per block; 0: no gates
  size_t max_tokens = 0;   // capacity, all sequences together

  // A page holds exactly one group of descriptors, so that the page table serves K, V and bounds.
  size_t page_tokens() const { return kBoundsGroupBlocks * block_size; }
  size_t tiles_per_page() const { return page_tokens() / kTileTokens; }
  size_t n_pages() const { return (max_tokens + page_tokens() - 1) / page_tokens(); }
};

// An Error that names the field, what is allowed and what was found; success means that no size
// computed from the configuration can overflow.
Status validate(const CacheConfig& config);

}  // namespace longhaul
