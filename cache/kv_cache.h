// The KV cache: paged keys and values with block descriptors, shared by sequences that append,
// overwrite, truncate, fork, save and restore. At every moment the descriptors and gate keys of a
// sequence are, bit for bit, those computed from scratch.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cache/cache_config.h"
#include "cache/gates.h"
#include "cache/page_pool.h"
#include "cache/paged_store.h"
#include "kernels/attention.h"
#include "kernels/block_bounds.h"

namespace longhaul {

class KvSequence;
class StateWriter;

struct CacheUsage {
  size_t pages = 0;           // capacity
  size_t pages_free = 0;      // of them, what a sequence may still take
  size_t page_tokens = 0;     // tokens per page
  size_t bytes_reserved = 0;  // address space, not memory
  size_t bytes_used = 0;      // memory of the pages that sequences hold
};

// Owns the memory; one per model. One thread at a time may change the cache or any of its
// sequences, except KvSequence::write, which may run in parallel on different (layer, kv head).
class KvCache {
 public:
  // Reserves addresses for max_tokens; memory is taken as tokens are written. `gates`, which must
  // outlive the cache, are those of config.gate_dim and block_size; null without. Error if the
  // configuration is impossible or a full cache would not fit in the memory that is available now;
  // the message holds the plan.
  static Result<std::unique_ptr<KvCache>> create(const CacheConfig& config,
                                                 const Gates* gates = nullptr);

  const CacheConfig& config() const { return config_; }
  KvSequence new_sequence();
  CacheUsage usage() const;

 private:
  friend class KvSequence;
  KvCache(const CacheConfig& config, const Gates* gates);
  void trim();  // gives the memory of freed pages back, but for a few

  CacheConfig config_;
  const Gates* gates_;
  std::array<PagedStore, kStoreCount> stores_;
  PagePool pool_;
};

// What a state file brought back.
struct RestoredState {
  size_t n_tokens = 0;
  std::vector<int32_t> tokens;  // [n_tokens] the ids that were saved with them
};

// The state of one sequence. Move-only; must not outlive its KvCache.
class KvSequence {
 public:
  KvSequence(KvSequence&& other) noexcept;
  KvSequence& operator=(KvSequence&& other) noexcept;
  ~KvSequence();

  size_t n_tokens() const { return n_tokens_; }
  size_t block_size() const { return cache_->config().block_size; }  // tokens per descriptor
  const Gates* gates() const { return cache_->gates_; }              // null without

  // Makes [first, first + count) writable: takes pages, copies those shared with another sequence,
  // raises n_tokens() to the end of the range. first <= n_tokens(). On Error (the pages needed and
  // free) nothing has changed.
  Status prepare_write(size_t first, size_t count);

  // Stores K and V of tokens [first, first + count), prepared before: rows of head_dim floats,
  // `stride` floats apart. New tokens must arrive in order. Overwritten ones have their blocks'
  // descriptors and gate keys rebuilt. May run in parallel for different (layer, kv_head).
  // Allocates nothing.
  void write(size_t layer, size_t kv_head, size_t first, size_t count, const float* k,
             const float* v, size_t stride);

  // For the kernels; valid until the next prepare_write, truncate or restore. bounds() covers all
  // n_tokens(), the last, unfinished block included.
  KvView view(size_t layer, size_t kv_head) const;
  BoundsView bounds(size_t layer, size_t kv_head) const;
  // The gate keys of the complete blocks: row i is that of block i. No rows without gates.
  HalfMatrixView gate_keys(size_t layer, size_t kv_head) const;

  // Forgets the tokens from `n_tokens` on; n_tokens <= n_tokens(). Never fails, also on shared
  // pages.
  void truncate(size_t n_tokens);

  // A sequence with the same tokens that shares all pages until one of the two writes. Error if
  // there is no free page for either side to write or truncate into.
  Result<KvSequence> fork() const;

  // Writes a state file (see cache/README.md): to a temporary file beside `path`, checked, then
  // renamed, so that an old file survives any Error. tokens: the ids of all n_tokens() tokens.
  Status save(const std::string& path, std::span<const int32_t> tokens,
              std::string_view model_id) const;
  // Replaces this sequence by a saved one, bit for bit. On Error it is unchanged. Needs free pages
  // for the restored tokens while it still holds its own.
  Result<RestoredState> restore(const std::string& path, std::string_view model_id);
  // The same from the bytes of a state file; `name` stands for it in messages.
  Result<RestoredState> restore_from(std::span<const std::byte> bytes, const std::string& name,
                                     std::string_view model_id);

 private:
  friend class KvCache;
  explicit KvSequence(KvCache& cache);

  std::byte* tile(size_t layer, size_t kv_head, size_t pos) const;
  void store_tokens(size_t layer, size_t kv_head, size_t first, size_t count, const float* k,
                    const float* v, size_t stride);
  void update_bounds(size_t layer, size_t kv_head, size_t first, size_t end, size_t n_valid);
  void set_bounds(size_t layer, size_t kv_head, size_t block, size_t end);
  void update_gate_keys(size_t layer, size_t kv_head, size_t first, size_t end, size_t n_valid);
  void make_private(size_t page_index);
  Status save_store(StateWriter& writer, StoreKind kind) const;
  bool last_page_is_shared() const;
  void settle_reserve() const;

  KvCache* cache_ = nullptr;
  size_t n_tokens_ = 0;
  std::vector<uint32_t>
      pages_;  // [ceil(n_tokens_ / page_tokens)] logical page -> page of the stores
  std::vector<uint32_t>
      written_;  // [n_layers * n_kv_heads] tokens stored so far; n_tokens_ once a step is complete
  // A page set aside in the pool, so that truncate can always copy a shared page. Held whenever the
  // last page is shared: otherwise that page is freed by any truncation that has to copy another.
  mutable bool has_reserve_ = false;
};

}  // namespace longhaul
