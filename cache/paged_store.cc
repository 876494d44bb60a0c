#include "cache/paged_store.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "cache/state_file.h"

namespace longhaul {
namespace {

constexpr size_t kOsPageBytes = 4096;
constexpr size_t kHugePageBytes = size_t{2} << 20;

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
  void* p = mmap(nullptr, n_bytes, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) {
    return make_error(ErrorCode::kOutOfMemory, "KV cache: cannot reserve {} bytes of addresses: {}",
                      n_bytes, std::strerror(errno));
  }
  Reservation result;
  result.data_ = static_cast<std::byte*>(p);
  result.n_bytes_ = n_bytes;
  return result;
}

Reservation::Reservation(Reservation&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), n_bytes_(std::exchange(other.n_bytes_, 0)) {}

Reservation& Reservation::operator=(Reservation&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(n_bytes_, other.n_bytes_);
  return *this;
}

Reservation::~Reservation() {
  if (data_ != nullptr) munmap(data_, n_bytes_);
}

Result<PagedStore> PagedStore::create(const StoreSpec& spec, const CacheConfig& config) {
  PagedStore store;
  store.spec_ = spec;
  store.n_layers_ = config.n_layers;
  store.n_kv_heads_ = config.n_kv_heads;
  store.page_stride_ = config.n_kv_heads * spec.head_bytes();
  store.layer_stride_ = round_up(config.n_pages() * store.page_stride_, kHugePageBytes);
  LH_ASSIGN_OR_RETURN(store.memory_, Reservation::create(store.reserved_bytes()));
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
    (void)madvise(memory_.data() + layer * layer_stride_ + begin, end - begin, MADV_DONTNEED);
  }
}

}  // namespace longhaul
