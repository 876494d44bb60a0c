// One kind of per-page data (tiles, descriptors) for all layers: an address range reserved
// once and touched lazily, so that the cache never moves and takes memory only for what was
// written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "state/cache_config.h"
#include "state/device_memory.h"
#include "state/summary.h"

namespace longhaul {

// What a store keeps per (page, kv head): units of so many tokens and bytes.
struct StoreSpec {
  uint32_t tag = 0;       // names its section in a state file; 0: not saved
  std::string_view name;  // for messages
  size_t unit_tokens = 0;
  size_t unit_bytes = 0;
  size_t units_per_page = 0;
  const Summary* summary = nullptr;  // null for tiles, and in a plan

  size_t head_bytes() const { return units_per_page * unit_bytes; }  // one kv head of one page
  size_t n_units(size_t n_tokens) const { return (n_tokens + unit_tokens - 1) / unit_tokens; }
};

// The stores of a valid configuration, in the order of the state file: the tiles, then one for each
// summary. A unit of the first is a tile of K and right behind it the tile of V.
std::vector<StoreSpec> store_specs(const CacheConfig& config);

// Address space from mmap, aligned for huge pages, or memory of a device; zero until written, given
// back by the destructor.
class Reservation {
 public:
  Reservation() = default;
  static Result<Reservation> create(size_t n_bytes, DeviceMemory* device);
  Reservation(Reservation&& other) noexcept;
  Reservation& operator=(Reservation&& other) noexcept;
  ~Reservation();

  std::byte* data() const;

 private:
  void* mapped_ = nullptr;
  size_t n_mapped_ = 0;             // bytes
  DeviceMemory* device_ = nullptr;  // null: the host's
};

// Layout: [layer][kv head][page][unit], so that a head is read as one stream: scoring its
// descriptors then runs at twice the speed. Any number of threads may use different units at once.
class PagedStore {
 public:
  PagedStore() = default;
  // `device`: whose memory it lies in, and outlives it; null: the host's.
  static Result<PagedStore> create(const StoreSpec& spec, const CacheConfig& config,
                                   DeviceMemory* device = nullptr);

  const StoreSpec& spec() const { return spec_; }
  size_t page_stride() const { return spec_.head_bytes(); }  // bytes from one page to the next
  size_t page_bytes() const { return n_layers_ * n_kv_heads_ * page_stride(); }
  size_t reserved_bytes() const { return n_layers_ * layer_stride_; }

  // The first byte of page 0 of a (layer, kv head).
  std::byte* base(size_t layer, size_t kv_head) const {
    return data_ + layer * layer_stride_ + kv_head * head_stride_;
  }
  std::byte* unit(size_t layer, size_t kv_head, uint32_t page, size_t unit) const {
    return base(layer, kv_head) + page * page_stride() + unit * spec_.unit_bytes;
  }

  // Copies the units of the first `n_tokens` tokens of a page, in all layers and heads.
  void copy_page(uint32_t from, uint32_t to, size_t n_tokens) const;
  // Has the first n_pages pages, all of them handed out, use huge pages where they fill these but
  // for a sixteenth: listed tiles lie scattered, and each would cost a look-up of its address
  // otherwise.
  void use_huge_pages(size_t n_pages);
  // Gives the memory of the pages back to the system; they read as zero afterwards, except at their
  // edges.
  void discard(uint32_t first_page, size_t n_pages) const;

 private:
  size_t n_handed_out(size_t huge_page, size_t n_pages) const;

  StoreSpec spec_;
  size_t n_layers_ = 0;
  size_t n_kv_heads_ = 0;
  size_t head_stride_ = 0;
  size_t layer_stride_ = 0;
  std::vector<bool> is_huge_;  // [layer_stride / huge page], alike in all layers
  size_t n_advised_ = 0;       // pages that use_huge_pages has seen
  DeviceMemory* device_ = nullptr;
  Reservation memory_;
  std::byte* data_ = nullptr;  // its first byte
};

}  // namespace longhaul
