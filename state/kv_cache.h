// A paged slot: keys and values of some layers in pages, with what selectors keep per block, shared
// by sequences that append, overwrite, truncate and fork. At every moment the summaries of a
// sequence are, bit for bit, those computed from scratch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kernels/attention.h"
#include "state/cache_config.h"
#include "state/page_pool.h"
#include "state/paged_store.h"

namespace longhaul {

class KvSequence;
class StateReader;
class StateWriter;

struct CacheUsage {
  size_t pages = 0;           // capacity
  size_t pages_free = 0;      // of them, what a sequence may still take
  size_t page_tokens = 0;     // tokens per page
  size_t bytes_reserved = 0;  // address space, not memory
  size_t bytes_used = 0;      // memory of the pages that sequences hold
};

// Owns the memory of a paged slot. One thread at a time may change the cache or any of its
// sequences, except KvSequence::write, which may run in parallel on different (layer, kv head).
class KvCache {
 public:
  // Reserves addresses for max_tokens; memory is taken as tokens are written. The summaries of the
  // configuration must outlive the cache. Error: an impossible configuration.
  // With a device the pages lie in its memory, and so do the summaries, of whose keys it alone
  // knows: whoever stores keys there (KvSequence::stored) sets them.
  static Result<std::unique_ptr<KvCache>> create(const CacheConfig& config,
                                                 DeviceMemory* device = nullptr);

  const CacheConfig& config() const { return config_; }
  bool is_on_device() const { return device_ != nullptr; }
  KvSequence new_sequence();
  CacheUsage usage() const;
  // Of `count` tokens, a multiple of kTileTokens, in all layers.
  size_t tiles_bytes(size_t count) const;

 private:
  friend class KvSequence;
  KvCache(const CacheConfig& config, DeviceMemory* device);
  void trim();  // gives the memory of freed pages back, but for a few

  CacheConfig config_;
  DeviceMemory* device_;
  std::vector<PagedStore> stores_;  // tiles, then the summaries
  PagePool pool_;
};

// The pages of one sequence. Move-only; must not outlive its KvCache.
class KvSequence {
 public:
  KvSequence(KvSequence&& other) noexcept;
  KvSequence& operator=(KvSequence&& other) noexcept;
  ~KvSequence();

  size_t n_tokens() const { return n_tokens_; }
  const CacheConfig& config() const { return cache_->config(); }
  size_t block_size() const { return config().block_size; }  // tokens per summary

  // Makes [first, first + count) writable: takes pages, copies those shared with another sequence,
  // raises n_tokens() to the end of the range. first must be reachable(). On Error (the pages
  // needed and free) nothing has changed.
  Status prepare_write(size_t first, size_t count);

  // Stores K and V of tokens [first, first + count), prepared before: rows of key_dim and value_dim
  // floats, k_stride and v_stride floats apart. New tokens must arrive in order. Where keys change,
  // the summaries of their blocks are set anew. May run in parallel for different (layer, kv_head).
  // Allocates nothing.
  void write(size_t layer, size_t kv_head, size_t first, size_t count, const float* k,
             size_t k_stride, const float* v, size_t v_stride);

  // The tokens [first, end) of a layer, prepared before, were stored on the device, all heads, and
  // the summaries of their blocks set.
  void stored(size_t layer, size_t first, size_t end);

  // For the kernels; valid until the next prepare_write, truncate, release or restore. Tokens
  // before a window may be gone: their entries of the page table mean nothing.
  KvView view(size_t layer, size_t kv_head) const;
  // The page table; the entries of pages that a window gave back mean nothing.
  std::span<const uint32_t> pages() const { return pages_; }
  // What the selectors have; summary `index` in the order of the configuration.
  size_t n_summaries() const { return config().summaries.size(); }
  SummaryView summary(size_t layer, size_t kv_head, size_t index) const;

  // The length that truncate() may go back to at most: n where what a query there sees is still
  // held, else 0.
  size_t reachable(size_t n) const;
  // Forgets the tokens from `n_tokens` on; n_tokens <= n_tokens() and reachable. Never fails, also
  // on shared pages.
  void truncate(size_t n_tokens);
  // Queries before `floor` will not come again: a window gives back the pages behind them.
  void release(size_t floor);

  // A sequence with the same tokens that shares all pages until one of the two writes. Error if
  // there is no free page for either side to write or truncate into.
  Result<KvSequence> fork() const;

  // Whole tiles of tokens [first, first + count) as they lie in memory, [layer][kv head][tile], both
  // ends multiples of kTileTokens (kv_tiles.cc). Not of a window, nor on a device. copy_tiles() may
  // run beside whatever other sequences do: nobody writes pages that this one holds.
  size_t tiles_bytes(size_t count) const { return cache_->tiles_bytes(count); }
  void copy_tiles(size_t first, size_t count, std::span<std::byte> to) const;
  // Into tokens prepared before; sets the summaries of their blocks.
  void store_tiles(size_t first, size_t count, std::span<const std::byte> from);

  // The sections of a state file (kv_state.cc): bytes with their frames, and how many.
  uint64_t section_bytes() const;
  uint32_t n_sections() const;
  // Error: a layer does not hold all tokens.
  Status save(StateWriter& writer, const std::string& path) const;
  // Makes an empty sequence hold the n_tokens of the next sections. On Error it must be dropped.
  Status load(StateReader& reader, size_t n_tokens, const std::string& name);

 private:
  friend class KvCache;
  explicit KvSequence(KvCache& cache);

  std::byte* tile(size_t layer, size_t kv_head, size_t pos) const;
  void store_tokens(size_t layer, size_t kv_head, size_t first, size_t count, const float* k,
                    size_t k_stride, const float* v, size_t v_stride);
  // Tokens [first, end) of a (layer, kv head) have changed; of the summaries those that `which`
  // tells.
  enum class Which { kAll, kUnsaved };
  void update_summaries(size_t layer, size_t kv_head, size_t first, size_t end,
                        Which which = Which::kAll) const;
  void make_private(size_t page_index);
  Status save_store(StateWriter& writer, const PagedStore& store) const;
  bool last_page_is_shared() const;
  void settle_reserve() const;
  size_t first_page_for(size_t pos) const;
  size_t n_saved_tokens() const;

  KvCache* cache_ = nullptr;
  size_t n_tokens_ = 0;
  // [ceil(n_tokens_ / page_tokens)] logical page -> page of the stores; meaningless below
  // first_page_
  std::vector<uint32_t> pages_;
  size_t first_page_ = 0;  // pages before it were given back
  // [n_layers * n_kv_heads] tokens stored so far; n_tokens_ once a step is complete
  std::vector<uint32_t> written_;
  // A page set aside in the pool, so that truncate can always copy a shared page. Held whenever the
  // last page is shared: otherwise that page is freed by any truncation that has to copy another.
  mutable bool has_reserve_ = false;
};

}  // namespace longhaul
