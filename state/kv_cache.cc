#include "state/kv_cache.h"

#include <algorithm>

#include "base/check.h"

namespace longhaul {
namespace {

// Freed pages kept backed by memory: a rollback over a page border must not cost page faults, and a
// thousand tokens' worth does not show in the peak.
size_t n_warm_pages(const CacheConfig& config) {
  return std::max<size_t>(1, 1024 / config.page_tokens());
}

}  // namespace

KvCache::KvCache(const CacheConfig& config, DeviceMemory* device)
    : config_(config), device_(device), pool_(config.n_pages(), n_warm_pages(config)) {}

Result<std::unique_ptr<KvCache>> KvCache::create(const CacheConfig& config, DeviceMemory* device) {
  LH_RETURN_IF_ERROR(validate(config));
  std::unique_ptr<KvCache> cache(new KvCache(config, device));
  for (const StoreSpec& spec : store_specs(config)) {
    LH_CHECK(cache->stores_.empty() || spec.summary != nullptr);
    LH_ASSIGN_OR_RETURN(PagedStore store, PagedStore::create(spec, config, device));
    cache->stores_.push_back(std::move(store));
  }
  return cache;
}

KvSequence KvCache::new_sequence() { return KvSequence(*this); }

CacheUsage KvCache::usage() const {
  CacheUsage usage;
  usage.pages = pool_.n_pages();
  usage.pages_free = pool_.n_available();
  usage.page_tokens = config_.page_tokens();
  for (const PagedStore& store : stores_) {
    usage.bytes_reserved += store.reserved_bytes();
    usage.bytes_used += pool_.n_used() * store.page_bytes();
  }
  return usage;
}

void KvCache::trim() {
  pool_.trim([this](uint32_t first_page, size_t n_pages) {
    for (const PagedStore& store : stores_) store.discard(first_page, n_pages);
  });
}

}  // namespace longhaul
