#include "cache/kv_cache.h"

#include <algorithm>

#include "base/check.h"
#include "cache/memory_plan.h"

namespace longhaul {
namespace {

// Freed pages kept backed by memory: a rollback over a page border must not cost page faults, and a
// thousand tokens' worth does not show in the peak.
size_t n_warm_pages(const CacheConfig& config) {
  return std::max<size_t>(1, 1024 / config.page_tokens());
}

}  // namespace

KvCache::KvCache(const CacheConfig& config, const Gates* gates)
    : config_(config), gates_(gates), pool_(config.n_pages(), n_warm_pages(config)) {}

Result<std::unique_ptr<KvCache>> KvCache::create(const CacheConfig& config, const Gates* gates) {
  LH_CHECK(config.gate_dim == (gates != nullptr ? gates->dim() : 0));
  LH_CHECK(gates == nullptr || gates->block_size() == config.block_size);
  LH_RETURN_IF_ERROR(validate(config));
  LH_ASSIGN_OR_RETURN(const size_t available, available_memory());
  LH_RETURN_IF_ERROR(check_fits(config, available));
  std::unique_ptr<KvCache> cache(new KvCache(config, gates));
  const StoreSpecs specs = store_specs(config);
  for (size_t i = 0; i < kStoreCount; ++i) {
    LH_ASSIGN_OR_RETURN(cache->stores_[i], PagedStore::create(specs[i], config));
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
