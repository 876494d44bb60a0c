// What a selector keeps per block beside the keys of a paged slot: bounds, gate keys, whatever it
// scores from. A selector with data of its own brings a Summary; the cache stores its bytes, copies
// them with the pages, and has them set anew whenever keys change. It knows none by name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/function_ref.h"

namespace longhaul {

// Blocks whose summaries lie together, as one group for each page of the cache.
inline constexpr size_t kGroupBlocks = 16;

class Summary;

// What a cache must know of a summary to plan and to store it.
struct SummarySpec {
  std::string_view name;  // "bounds": for selectors, plans and messages
  uint32_t tag = 0;       // names its section in a state file; 0: not saved, set anew from the keys
  size_t group_bytes = 0;            // of one (layer, KV head) and 16 blocks
  const Summary* summary = nullptr;  // sets it; null in a plan
};

// Keys of one (layer, KV head) that have just changed, and where the summaries of their blocks lie.
struct KeyChange {
  size_t layer = 0;  // of the slot
  size_t kv_head = 0;
  size_t block_size = 0;  // tokens
  size_t first = 0;       // tokens [first, end) were stored
  size_t end = 0;
  size_t n_tokens = 0;  // that this (layer, KV head) holds now
  // Reads the key of a token below n_tokens as attention sees it, into [key_dim].
  FunctionRef<void(size_t pos, float* key)> read_key;
  // The group of 16 blocks that a block belongs to, as lane block % 16.
  FunctionRef<std::byte*(size_t block)> group;
};

// Immutable; any number of threads may use it, for different (layer, KV head) at once.
class Summary {
 public:
  virtual ~Summary() = default;

  virtual SummarySpec spec() const = 0;
  // Sets what changes with those keys: in whatever order keys came, the summaries of a sequence
  // are, bit for bit, those computed from scratch. A cut in the middle of a block is announced as a
  // change of what is left of that block.
  virtual void update(const KeyChange& change) const = 0;
  // Blanks what the first n_tokens tokens of a group do not determine, so that equal sequences have
  // equal bytes.
  virtual void blank(std::byte* group, size_t n_tokens, size_t block_size) const = 0;
  // What the selector needs of the position of a query, the same for all layers: computed once a
  // pass into [n_row_floats()].
  virtual size_t n_row_floats() const { return 0; }
  virtual void prepare_row(size_t /*pos*/, float* /*row*/) const {}
};

// The summaries of one (layer, KV head) of a sequence: block i is lane i % 16 of the group at base
// + pages[i / 16] * page_stride.
struct SummaryView {
  const Summary* summary = nullptr;
  std::string_view name;
  const std::byte* base = nullptr;
  size_t page_stride = 0;           // bytes from one page to the next
  const uint32_t* pages = nullptr;  // [ceil(n_tokens / (16 * block_size))]
  size_t n_tokens = 0;              // of the sequence
  size_t layer = 0;                 // of the slot
  size_t kv_head = 0;
  const float* rows = nullptr;  // [rows of the query, n_row_floats()]; set by who has a query
};

}  // namespace longhaul
