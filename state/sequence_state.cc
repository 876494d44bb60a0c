#include "state/sequence_state.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "state/memory_plan.h"

namespace longhaul {

Result<std::unique_ptr<StatePool>> StatePool::create(std::vector<SlotConfig> slots,
                                                     DeviceMemory* device) {
  LH_CHECK(!slots.empty());
  std::unique_ptr<StatePool> pool(new StatePool());
  for (const SlotConfig& slot : slots) {
    LH_RETURN_IF_ERROR(std::visit([](const auto& config) { return validate(config); }, slot));
  }
  LH_ASSIGN_OR_RETURN(const size_t on_host, available_memory());
  LH_RETURN_IF_ERROR(check_fits(slots, device == nullptr ? on_host : device->available()));
  for (const SlotConfig& slot : slots) {
    std::unique_ptr<KvCache> cache;
    if (const auto* config = std::get_if<CacheConfig>(&slot)) {
      LH_ASSIGN_OR_RETURN(cache, KvCache::create(*config, device));
    }
    pool->caches_.push_back(std::move(cache));
  }
  pool->slots_ = std::move(slots);
  return pool;
}

SequenceState StatePool::new_sequence() { return SequenceState(*this); }

CacheUsage StatePool::usage() const {
  // Where nothing grows, one page holds any text.
  CacheUsage all{.pages = 1, .pages_free = 1, .page_tokens = size_t{1} << 31};
  bool found = false;
  for (const auto& cache : caches_) {
    if (cache == nullptr) continue;
    const CacheUsage usage = cache->usage();
    all.bytes_reserved += usage.bytes_reserved;
    all.bytes_used += usage.bytes_used;
    if (found || cache->config().window > 0) continue;
    found = true;
    all.pages = usage.pages;
    all.pages_free = usage.pages_free;
    all.page_tokens = usage.page_tokens;
  }
  return all;
}

SequenceState::SequenceState(StatePool& pool) : pool_(&pool) {
  for (size_t i = 0; i < pool.slots_.size(); ++i) {
    if (pool.caches_[i] != nullptr) {
      slots_.emplace_back(pool.caches_[i]->new_sequence());
    } else {
      slots_.emplace_back(RecurrentState(std::get<RecurrentConfig>(pool.slots_[i])));
    }
  }
}

size_t SequenceState::block_size() const {
  for (const SlotConfig& slot : pool_->slots_) {
    const auto* config = std::get_if<CacheConfig>(&slot);
    if (config != nullptr && config->window == 0) return config->block_size;
  }
  return 1;
}

Status SequenceState::reserve(size_t first, size_t count) {
  LH_CHECK(first <= n_tokens_ && reachable(first) == first);
  for (size_t i = 0; i < slots_.size(); ++i) {
    auto* paged = std::get_if<KvSequence>(&slots_[i]);
    if (paged == nullptr) continue;
    Status status = paged->prepare_write(first, count);
    if (status) continue;
    for (size_t done = 0; done < i; ++done) {
      if (auto* earlier = std::get_if<KvSequence>(&slots_[done])) earlier->truncate(n_tokens_);
    }
    return status;
  }
  for (Slot& slot : slots_) {
    if (auto* recurrent = std::get_if<RecurrentState>(&slot)) recurrent->rewind(first);
  }
  n_tokens_ = std::max(n_tokens_, first + count);
  return {};
}

void SequenceState::mark() {
  for (Slot& slot : slots_) {
    if (auto* recurrent = std::get_if<RecurrentState>(&slot)) {
      LH_CHECK(recurrent->n_tokens() == n_tokens_);
      recurrent->mark();
    }
  }
}

size_t SequenceState::reachable(size_t n) const {
  n = std::min(n, n_tokens_);
  for (size_t lowest = 0; n > 0; n = lowest) {  // until all slots agree
    lowest = n;
    for (const Slot& slot : slots_) {
      lowest = std::min(lowest, std::visit([n](const auto& s) { return s.reachable(n); }, slot));
    }
    if (lowest == n) break;
  }
  return n;
}

size_t SequenceState::rewind(size_t n) {
  const size_t reached = reachable(n);
  for (Slot& slot : slots_) {
    if (auto* paged = std::get_if<KvSequence>(&slot)) {
      paged->truncate(reached);
    } else {
      std::get<RecurrentState>(slot).rewind(reached);
    }
  }
  n_tokens_ = reached;
  return reached;
}

void SequenceState::release(size_t floor) {
  for (Slot& slot : slots_) {
    if (auto* paged = std::get_if<KvSequence>(&slot);
        paged != nullptr && paged->config().window > 0)
      paged->release(floor);
  }
}

Result<SequenceState> SequenceState::fork() const {
  SequenceState copy(*pool_);
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (const auto* paged = std::get_if<KvSequence>(&slots_[i])) {
      LH_ASSIGN_OR_RETURN(KvSequence sequence, paged->fork());
      copy.slots_[i] = std::move(sequence);
    } else {
      copy.slots_[i] = std::get<RecurrentState>(slots_[i]).fork();
    }
  }
  copy.n_tokens_ = n_tokens_;
  return copy;
}

}  // namespace longhaul
