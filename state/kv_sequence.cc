#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/rounding.h"
#include "kernels/kv_tile.h"
#include "state/kv_cache.h"

namespace longhaul {

KvSequence::KvSequence(KvCache& cache)
    : cache_(&cache), written_(cache.config_.n_layers * cache.config_.n_kv_heads, 0) {
  // So that appending allocates nothing.
  const size_t n_positions = std::max(cache.config_.max_tokens, cache.config_.max_positions);
  pages_.reserve(ceil_div(n_positions, cache.config_.page_tokens()));
}

KvSequence::KvSequence(KvSequence&& other) noexcept { *this = std::move(other); }

KvSequence& KvSequence::operator=(KvSequence&& other) noexcept {
  std::swap(cache_, other.cache_);
  std::swap(n_tokens_, other.n_tokens_);
  std::swap(pages_, other.pages_);
  std::swap(first_page_, other.first_page_);
  std::swap(written_, other.written_);
  std::swap(has_reserve_, other.has_reserve_);
  return *this;
}

KvSequence::~KvSequence() {
  if (cache_ != nullptr) truncate(0);
}

bool KvSequence::last_page_is_shared() const {
  return !pages_.empty() && cache_->pool_.is_shared(pages_.back());
}

// Restores the invariant of has_reserve_ after the pages have changed.
void KvSequence::settle_reserve() const {
  const bool wanted = last_page_is_shared();
  if (wanted && !has_reserve_) cache_->pool_.reserve();
  if (!wanted && has_reserve_) cache_->pool_.unreserve();
  has_reserve_ = wanted;
}

// Replaces a page by a copy that belongs to this sequence alone. The pool must have a page
// available.
void KvSequence::make_private(size_t page_index) {
  const size_t page_tokens = cache_->config_.page_tokens();
  const uint32_t shared = pages_[page_index];
  const uint32_t own = cache_->pool_.allocate();
  const size_t n_used = std::min(page_tokens, n_tokens_ - page_index * page_tokens);
  for (const PagedStore& store : cache_->stores_) store.copy_page(shared, own, n_used);
  cache_->pool_.release(shared);
  pages_[page_index] = own;
}

// The first page of which a query at `pos` may see something.
size_t KvSequence::first_page_for(size_t pos) const {
  const size_t window = config().window;
  if (window == 0) return 0;
  return (pos - std::min(pos, window - 1)) / config().page_tokens();
}

size_t KvSequence::reachable(size_t n) const {
  n = std::min(n, n_tokens_);
  return first_page_for(n) >= first_page_ ? n : 0;
}

void KvSequence::release(size_t floor) {
  if (pages_.empty()) return;
  const size_t first_page = std::min(first_page_for(std::min(floor, n_tokens_)), pages_.size() - 1);
  for (; first_page_ < first_page; ++first_page_) cache_->pool_.release(pages_[first_page_]);
  cache_->trim();
}

Status KvSequence::prepare_write(size_t first, size_t count) {
  LH_CHECK(first <= n_tokens_ && reachable(first) == first);
  if (count == 0) return {};
  PagePool& pool = cache_->pool_;
  const size_t page_tokens = cache_->config_.page_tokens();
  const size_t capacity = pool.n_pages() * page_tokens;
  if (config().window == 0 && count > capacity - first) {
    return make_error(ErrorCode::kOutOfMemory,
                      "the KV cache has room for {} tokens, asked for {} after {}", capacity, count,
                      first);
  }
  const size_t end_page = ceil_div(first + count, page_tokens);
  const size_t n_old = std::min(end_page, pages_.size());
  const size_t n_new = end_page - n_old;
  size_t n_copies = 0;
  for (size_t p = first / page_tokens; p < n_old; ++p) n_copies += pool.is_shared(pages_[p]);

  // Once the last page is our own, the reserve is not needed any more and may pay for one of the
  // pages.
  const bool frees_reserve = has_reserve_ && end_page >= pages_.size();
  const size_t n_available = pool.n_available() + (frees_reserve ? 1 : 0);
  if (n_new + n_copies > n_available) {
    return make_error(ErrorCode::kOutOfMemory,
                      "the KV cache is full: tokens {} to {} need {} more pages of {} tokens, {} "
                      "of {} are free",
                      first, first + count, n_new + n_copies, page_tokens, n_available,
                      pool.n_pages());
  }
  if (frees_reserve) {
    pool.unreserve();
    has_reserve_ = false;
  }
  for (size_t p = first / page_tokens; p < n_old; ++p) {
    if (pool.is_shared(pages_[p])) make_private(p);
  }
  for (size_t i = 0; i < n_new; ++i) pages_.push_back(pool.allocate());
  for (PagedStore& store : cache_->stores_) store.use_huge_pages(pool.n_touched());
  n_tokens_ = std::max(n_tokens_, first + count);
  return {};
}

void KvSequence::write(size_t layer, size_t kv_head, size_t first, size_t count, const float* k,
                       size_t k_stride, const float* v, size_t v_stride) {
  const CacheConfig& config = cache_->config_;
  LH_CHECK(layer < config.n_layers && kv_head < config.n_kv_heads && !cache_->is_on_device());
  uint32_t& written = written_[layer * config.n_kv_heads + kv_head];
  const size_t end = first + count;
  LH_CHECK(first <= written && end <= n_tokens_);
  if (count == 0) return;
  store_tokens(layer, kv_head, first, count, k, k_stride, v, v_stride);
  written = std::max(written, static_cast<uint32_t>(end));
  update_summaries(layer, kv_head, first, end);
}

void KvSequence::stored(size_t layer, size_t first, size_t end) {
  const size_t n_kv_heads = config().n_kv_heads;
  LH_CHECK(layer < config().n_layers && end <= n_tokens_);
  for (size_t head = 0; head < n_kv_heads; ++head) {
    uint32_t& written = written_[layer * n_kv_heads + head];
    LH_CHECK(first <= written);
    written = std::max(written, static_cast<uint32_t>(end));
  }
}

// The K tile of the token at `pos`; the V tile lies right behind it.
std::byte* KvSequence::tile(size_t layer, size_t kv_head, size_t pos) const {
  const size_t page_tokens = cache_->config_.page_tokens();
  return cache_->stores_.front().unit(layer, kv_head, pages_[pos / page_tokens],
                                      pos % page_tokens / kTileTokens);
}

void KvSequence::store_tokens(size_t layer, size_t kv_head, size_t first, size_t count,
                              const float* k, size_t k_stride, const float* v, size_t v_stride) {
  const CacheConfig& config = cache_->config_;
  for (size_t i = 0; i < count; ++i) {
    const size_t pos = first + i;
    LH_DCHECK(!cache_->pool_.is_shared(pages_[pos / config.page_tokens()]));
    std::byte* const k_tile = tile(layer, kv_head, pos);
    std::byte* const v_tile = k_tile + k_tile_bytes(config.k_type, config.key_dim);
    write_k(config.k_type, k_tile, pos % kTileTokens, k + i * k_stride, config.key_dim);
    write_v(config.v_type, v_tile, pos % kTileTokens, v + i * v_stride, config.value_dim);
  }
}

void KvSequence::update_summaries(size_t layer, size_t kv_head, size_t first, size_t end,
                                  Which which) const {
  const CacheConfig& config = cache_->config_;
  // A device sets them when the next keys are stored, before anything is chosen by them.
  if (cache_->is_on_device()) return;
  for (size_t i = 1; i < cache_->stores_.size(); ++i) {
    const PagedStore& store = cache_->stores_[i];
    if (which == Which::kUnsaved && store.spec().tag != 0) continue;
    const auto read_key = [&](size_t pos, float* key) {
      read_k(config.k_type, tile(layer, kv_head, pos), pos % kTileTokens, key, config.key_dim);
    };
    const auto group = [&](size_t block) {
      return store.unit(layer, kv_head, pages_[block / kGroupBlocks], 0);
    };
    store.spec().summary->update({.layer = layer,
                                  .kv_head = kv_head,
                                  .block_size = config.block_size,
                                  .first = first,
                                  .end = end,
                                  .n_tokens = written_[layer * config.n_kv_heads + kv_head],
                                  .read_key = read_key,
                                  .group = group});
  }
}

KvView KvSequence::view(size_t layer, size_t kv_head) const {
  const CacheConfig& config = cache_->config_;
  LH_CHECK(layer < config.n_layers && kv_head < config.n_kv_heads);
  const PagedStore& store = cache_->stores_.front();
  return {.base = store.base(layer, kv_head),
          .page_stride = store.page_stride(),
          .pages = pages_.data(),
          .tiles_per_page = config.tiles_per_page(),
          .k_type = config.k_type,
          .v_type = config.v_type,
          .key_dim = config.key_dim,
          .value_dim = config.value_dim};
}

SummaryView KvSequence::summary(size_t layer, size_t kv_head, size_t index) const {
  const CacheConfig& config = cache_->config_;
  LH_CHECK(layer < config.n_layers && kv_head < config.n_kv_heads);
  LH_CHECK(index < config.summaries.size());
  const PagedStore& store = cache_->stores_[1 + index];
  return {.summary = store.spec().summary,
          .name = store.spec().name,
          .base = store.base(layer, kv_head),
          .page_stride = store.page_stride(),
          .pages = pages_.data(),
          .n_tokens = n_tokens_,
          .layer = layer,
          .kv_head = kv_head};
}

void KvSequence::truncate(size_t n_tokens) {
  LH_CHECK(n_tokens <= n_tokens_ && reachable(n_tokens) == n_tokens);
  const CacheConfig& config = cache_->config_;
  const size_t n_pages = ceil_div(n_tokens, config.page_tokens());
  while (pages_.size() > n_pages) {
    if (pages_.size() > first_page_) cache_->pool_.release(pages_.back());
    pages_.pop_back();
  }
  first_page_ = std::min(first_page_, pages_.size());
  const size_t n_in_block = n_tokens % config.block_size;
  const bool cuts_block = n_tokens < n_tokens_ && n_in_block != 0;
  n_tokens_ = n_tokens;
  if (cuts_block && last_page_is_shared()) {
    if (has_reserve_) cache_->pool_.unreserve();
    has_reserve_ = false;
    make_private(n_pages - 1);
  }
  settle_reserve();
  for (size_t i = 0; i < written_.size(); ++i) {
    if (written_[i] <= n_tokens) continue;
    written_[i] = static_cast<uint32_t>(n_tokens);
    if (!cuts_block) continue;
    update_summaries(i / config.n_kv_heads, i % config.n_kv_heads, n_tokens - n_in_block, n_tokens);
  }
  cache_->trim();
}

Result<KvSequence> KvSequence::fork() const {
  PagePool& pool = cache_->pool_;
  const size_t n_reserves = pages_.empty() ? 0 : has_reserve_ ? 1 : 2;
  if (n_reserves > pool.n_available()) {
    return make_error(ErrorCode::kOutOfMemory,
                      "the KV cache is full: a fork needs {} pages of {} tokens to write to, {} of "
                      "{} are free",
                      n_reserves, cache_->config_.page_tokens(), pool.n_available(),
                      pool.n_pages());
  }
  KvSequence child(*cache_);
  child.pages_.insert(child.pages_.end(), pages_.begin(), pages_.end());
  child.first_page_ = first_page_;
  child.written_ = written_;
  child.n_tokens_ = n_tokens_;
  for (size_t p = first_page_; p < pages_.size(); ++p) pool.share(pages_[p]);
  settle_reserve();
  child.settle_reserve();
  return child;
}

}  // namespace longhaul
