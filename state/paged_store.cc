#include "state/paged_store.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/rounding.h"
#include "kernels/kv_tile.h"
#include "state/state_file.h"

namespace longhaul {
namespace {

constexpr size_t kOsPageBytes = 4096;
constexpr size_t kHugePageBytes = size_t{2} << 20;
constexpr int kCollapseAdvice = 25;  // MADV_COLLAPSE, which the headers of Debian 12 lack

}  // namespace

std::vector<StoreSpec> store_specs(const CacheConfig& config) {
  std::vector<StoreSpec> specs;
  const size_t tile_bytes =
      k_tile_bytes(config.k_type, config.key_dim) + v_tile_bytes(config.v_type, config.value_dim);
  specs.push_back({.tag = section_tag("TILE"),
                   .name = "keys and values",
                   .unit_tokens = kTileTokens,
                   .unit_bytes = tile_bytes,
                   .units_per_page = config.tiles_per_page()});
  for (const SummarySpec& summary : config.summaries) {
    specs.push_back({.tag = summary.tag,
                     .name = summary.name,
                     .unit_tokens = config.page_tokens(),
                     .unit_bytes = summary.group_bytes,
                     .units_per_page = 1,
                     .summary = summary.summary});
  }
  return specs;
}

Result<Reservation> Reservation::create(size_t n_bytes, DeviceMemory* device) {
  Reservation result;
  if (device != nullptr) {
    LH_ASSIGN_OR_RETURN(result.mapped_, device->allocate(n_bytes));
    result.n_mapped_ = n_bytes;
    result.device_ = device;
    return result;
  }
  // Not counted against the system's commit limit: the plan was checked against the free memory
  // before.
  const size_t n_mapped = n_bytes + kHugePageBytes;  // room to align
  void* p = mmap(nullptr, n_mapped, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) {
    return make_error(ErrorCode::kOutOfMemory, "KV cache: cannot reserve {} bytes of addresses: {}",
                      n_mapped, std::strerror(errno));
  }
  result.mapped_ = p;
  result.n_mapped_ = n_mapped;
  return result;
}

Reservation::Reservation(Reservation&& other) noexcept
    : mapped_(std::exchange(other.mapped_, nullptr)),
      n_mapped_(std::exchange(other.n_mapped_, 0)),
      device_(other.device_) {}

Reservation& Reservation::operator=(Reservation&& other) noexcept {
  std::swap(mapped_, other.mapped_);
  std::swap(n_mapped_, other.n_mapped_);
  std::swap(device_, other.device_);
  return *this;
}

Reservation::~Reservation() {
  if (mapped_ == nullptr) return;
  if (device_ != nullptr) {
    device_->free(static_cast<std::byte*>(mapped_));
  } else {
    munmap(mapped_, n_mapped_);
  }
}

std::byte* Reservation::data() const {
  if (device_ != nullptr) return static_cast<std::byte*>(mapped_);
  return reinterpret_cast<std::byte*>(
      round_up(reinterpret_cast<uintptr_t>(mapped_), kHugePageBytes));
}

Result<PagedStore> PagedStore::create(const StoreSpec& spec, const CacheConfig& config,
                                      DeviceMemory* device) {
  PagedStore store;
  store.spec_ = spec;
  store.n_layers_ = config.n_layers;
  store.n_kv_heads_ = config.n_kv_heads;
  store.head_stride_ = round_up(config.n_pages() * spec.head_bytes(), kOsPageBytes);
  store.layer_stride_ = round_up(config.n_kv_heads * store.head_stride_, kHugePageBytes);
  store.is_huge_.assign(store.layer_stride_ / kHugePageBytes, false);
  store.device_ = device;
  LH_ASSIGN_OR_RETURN(store.memory_, Reservation::create(store.reserved_bytes(), device));
  store.data_ = store.memory_.data();
  if (device != nullptr) return store;
  // Where the system gives huge pages to everyone, one token would take 2 MiB of every layer of
  // every store. Advice, here and below: without it only speed and rounding differ.
  (void)madvise(store.data_, store.reserved_bytes(), MADV_NOHUGEPAGE);
  return store;
}

void PagedStore::copy_page(uint32_t from, uint32_t to, size_t n_tokens) const {
  const size_t n_bytes = spec_.n_units(n_tokens) * spec_.unit_bytes;
  for (size_t layer = 0; layer < n_layers_; ++layer) {
    for (size_t head = 0; head < n_kv_heads_; ++head) {
      std::byte* const target = unit(layer, head, to, 0);
      const std::byte* const source = unit(layer, head, from, 0);
      if (device_ != nullptr) {
        device_->copy(target, source, n_bytes);
      } else {
        std::memcpy(target, source, n_bytes);
      }
    }
  }
}

// Bytes of a huge page of a layer that belong to the first n_pages pages.
size_t PagedStore::n_handed_out(size_t huge_page, size_t n_pages) const {
  const size_t begin = huge_page * kHugePageBytes;
  size_t n_bytes = 0;
  for (size_t head = 0; head < n_kv_heads_; ++head) {
    const size_t first = std::max(begin, head * head_stride_);
    const size_t last =
        std::min(begin + kHugePageBytes, head * head_stride_ + n_pages * page_stride());
    if (first < last) n_bytes += last - first;
  }
  return n_bytes;
}

void PagedStore::use_huge_pages(size_t n_pages) {
  if (n_pages == n_advised_ || device_ != nullptr) return;
  n_advised_ = n_pages;
  for (size_t i = 0; i < is_huge_.size(); ++i) {
    if (is_huge_[i] || n_handed_out(i, n_pages) < kHugePageBytes / 16 * 15) continue;
    is_huge_[i] = true;
    for (size_t layer = 0; layer < n_layers_; ++layer) {
      std::byte* const begin = data_ + layer * layer_stride_ + i * kHugePageBytes;
      (void)madvise(begin, kHugePageBytes, MADV_HUGEPAGE);    // for what is still to be touched
      (void)madvise(begin, kHugePageBytes, kCollapseAdvice);  // for what has been (Linux 6.1 on)
    }
  }
}

void PagedStore::discard(uint32_t first_page, size_t n_pages) const {
  if (device_ != nullptr) return;
  // Only whole pages of the system: the edges may belong to a neighbour.
  const size_t begin = round_up(first_page * page_stride(), kOsPageBytes);
  const size_t end = (first_page + n_pages) * page_stride() / kOsPageBytes * kOsPageBytes;
  if (begin >= end) return;
  for (size_t layer = 0; layer < n_layers_; ++layer) {
    for (size_t head = 0; head < n_kv_heads_; ++head) {
      // Advice only: if it fails, the memory is kept and reused.
      (void)madvise(base(layer, head) + begin, end - begin, MADV_DONTNEED);
    }
  }
}

}  // namespace longhaul
