#include "cache/paged_store.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "cache/state_file.h"

namespace longhaul {
namespace {

constexpr size_t kOsPageBytes = 4096;
constexpr size_t kHugePageBytes = size_t{2} << 20;
// From here on a layer's memory comes in huge pages: a tenth at most of what is in use can then be
// ahead of need.
constexpr size_t kHugeFrom = 10 * kHugePageBytes;

size_t round_up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

}  // namespace

StoreSpecs store_specs(const CacheConfig& config) {
  const size_t n_tiles = config.tiles_per_page();
  const size_t d = config.head_dim;
  StoreSpecs specs;
  specs[kKeys] = {section_tag("KEYS"), "keys", kTileTokens, k_tile_bytes(config.k_type, d),
                  n_tiles};
  specs[kValues] = {section_tag("VALS"), "values", kTileTokens, v_tile_bytes(config.v_type, d),
                    n_tiles};
  specs[kBounds] = {section_tag("BNDS"), "bounds", config.page_tokens(), bounds_group_bytes(d), 1};
  return specs;
}

Result<Reservation> Reservation::create(size_t n_bytes) {
  // Not counted against the system's commit limit: the plan was checked against the free memory
  // before.
  const size_t n_mapped = n_bytes + kHugePageBytes;  // room to align
  void* p = mmap(nullptr, n_mapped, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) {
    return make_error(ErrorCode::kOutOfMemory, "KV cache: cannot reserve {} bytes of addresses: {}",
                      n_mapped, std::strerror(errno));
  }
  Reservation result;
  result.mapped_ = p;
  result.n_mapped_ = n_mapped;
  return result;
}

Reservation::Reservation(Reservation&& other) noexcept
    : mapped_(std::exchange(other.mapped_, nullptr)),
      n_mapped_(std::exchange(other.n_mapped_, 0)) {}

Reservation& Reservation::operator=(Reservation&& other) noexcept {
  std::swap(mapped_, other.mapped_);
  std::swap(n_mapped_, other.n_mapped_);
  return *this;
}

Reservation::~Reservation() {
  if (mapped_ != nullptr) munmap(mapped_, n_mapped_);
}

std::byte* Reservation::data() const {
  return reinterpret_cast<std::byte*>(
      round_up(reinterpret_cast<uintptr_t>(mapped_), kHugePageBytes));
}

Result<PagedStore> PagedStore::create(const StoreSpec& spec, const CacheConfig& config) {
  PagedStore store;
  store.spec_ = spec;
  store.n_layers_ = config.n_layers;
  store.n_kv_heads_ = config.n_kv_heads;
  store.page_stride_ = config.n_kv_heads * spec.head_bytes();
  store.layer_stride_ = round_up(config.n_pages() * store.page_stride_, kHugePageBytes);
  LH_ASSIGN_OR_RETURN(store.memory_, Reservation::create(store.reserved_bytes()));
  store.data_ = store.memory_.data();
  // Where the system gives huge pages to everyone, one token would take 2 MiB of every layer of
  // every store.
  const size_t small = std::min(kHugeFrom, store.layer_stride_);
  for (size_t layer = 0; layer < store.n_layers_; ++layer) {
    std::byte* const begin = store.data_ + layer * store.layer_stride_;
    (void)madvise(begin, small,
                  MADV_NOHUGEPAGE);  // advice: without it only speed and rounding differ
    (void)madvise(begin + small, store.layer_stride_ - small, MADV_HUGEPAGE);
  }
  return store;
}

void PagedStore::copy_page(uint32_t from, uint32_t to, size_t n_tokens) const {
  const size_t n_bytes = spec_.n_units(n_tokens) * spec_.unit_bytes;
  for (size_t layer = 0; layer < n_layers_; ++layer) {
    for (size_t head = 0; head < n_kv_heads_; ++head) {
      std::memcpy(unit(layer, head, to, 0), unit(layer, head, from, 0), n_bytes);
    }
  }
}

void PagedStore::discard(uint32_t first_page, size_t n_pages) const {
  // Only whole pages of the system: the edges may belong to a neighbour.
  const size_t begin = round_up(first_page * page_stride_, kOsPageBytes);
  const size_t end = (first_page + n_pages) * page_stride_ / kOsPageBytes * kOsPageBytes;
  if (begin >= end) return;
  for (size_t layer = 0; layer < n_layers_; ++layer) {
    // Advice only: if it fails, the memory is kept and reused.
    (void)madvise(data_ + layer * layer_stride_ + begin, end - begin, MADV_DONTNEED);
  }
}

}  // namespace longhaul
