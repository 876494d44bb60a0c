#include <algorithm>
#include <utility>

#include "base/check.h"
#include "cache/kv_cache.h"
#include "kernels/kv_tile.h"

namespace longhaul {
namespace {

size_t ceil_div(size_t n, size_t d) { return (n + d - 1) / d; }

}  // namespace

KvSequence::KvSequence(KvCache& cache)
    : cache_(&cache), written_(cache.config_.n_layers * cache.config_.n_kv_heads, 0) {
  pages_.reserve(cache.pool_.n_pages());  // so that appending allocates nothing
}

KvSequence::KvSequence(KvSequence&& other) noexcept { *this = std::move(other); }

KvSequence& KvSequence::operator=(KvSequence&& other) noexcept {
  std::swap(cache_, other.cache_);
  std::swap(n_tokens_, other.n_tokens_);
  std::swap(pages_, other.pages_);
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

Status KvSequence::prepare_write(size_t first, size_t count) {
  LH_CHECK(first <= n_tokens_);
  if (count == 0) return {};
  PagePool& pool = cache_->pool_;
  const size_t page_tokens = cache_->config_.page_tokens();
  const size_t capacity = pool.n_pages() * page_tokens;
  if (count > capacity - first) {
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
                       const float* v, size_t stride) {
  const CacheConfig& config = cache_->config_;
  LH_CHECK(layer < config.n_layers && kv_head < config.n_kv_heads);
  uint32_t& written = written_[layer * config.n_kv_heads + kv_head];
  const size_t end = first + count;
  LH_CHECK(first <= written && end <= n_tokens_);
  if (count == 0) return;
  store_tokens(layer, kv_head, first, count, k, v, stride);
  update_bounds(layer, kv_head, first, end, written);
  update_gate_keys(layer, kv_head, first, end, written);
  written = std::max(written, static_cast<uint32_t>(end));
}

// The K tile of the token at `pos`; the V tile lies right behind it.
std::byte* KvSequence::tile(size_t layer, size_t kv_head, size_t pos) const {
  const size_t page_tokens = cache_->config_.page_tokens();
  return cache_->stores_[kTiles].unit(layer, kv_head, pages_[pos / page_tokens],
                                      pos % page_tokens / kTileTokens);
}

void KvSequence::store_tokens(size_t layer, size_t kv_head, size_t first, size_t count,
                              const float* k, const float* v, size_t stride) {
  const CacheConfig& config = cache_->config_;
  const size_t d = config.head_dim;
  for (size_t i = 0; i < count; ++i) {
    const size_t pos = first + i;
    LH_DCHECK(!cache_->pool_.is_shared(pages_[pos / config.page_tokens()]));
    std::byte* const k_tile = tile(layer, kv_head, pos);
    std::byte* const v_tile = k_tile + k_tile_bytes(config.k_type, d);
    write_k(config.k_type, k_tile, pos % kTileTokens, k + i * stride, d);
    write_v(config.v_type, v_tile, pos % kTileTokens, v + i * stride, d);
  }
}

// Tokens [first, end) have just been stored, the first n_valid of the sequence were there before.
// Sets the bounds of their blocks, and, since the first block of a page is the origin of the
// others, of those behind it.
void KvSequence::update_bounds(size_t layer, size_t kv_head, size_t first, size_t end,
                               size_t n_valid) {
  const CacheConfig& config = cache_->config_;
  const size_t n_after = std::max(n_valid, end);
  const size_t last_page = (end - 1) / config.page_tokens() * config.page_tokens();
  const bool sets_origin = first < last_page + config.block_size;
  const size_t until = sets_origin ? std::min(last_page + config.page_tokens(), n_after) : end;
  for (size_t block = first / config.block_size; block * config.block_size < until; ++block) {
    set_bounds(layer, kv_head, block, std::min((block + 1) * config.block_size, n_after));
  }
}

// Makes the bounds of a block the box around its tokens up to `end`, as attention reads them.
void KvSequence::set_bounds(size_t layer, size_t kv_head, size_t block, size_t end) {
  const CacheConfig& config = cache_->config_;
  const size_t d = config.head_dim;
  const size_t first = block * config.block_size;
  LH_DCHECK(first < end);
  alignas(64) float key[kMaxHeadDim];
  alignas(64) float lowest[kMaxHeadDim];
  alignas(64) float highest[kMaxHeadDim];
  for (size_t pos = first; pos < end; ++pos) {
    float* const to = pos == first ? lowest : key;
    read_k(config.k_type, tile(layer, kv_head, pos), pos % kTileTokens, to, d);
    if (pos == first) {
      std::copy_n(lowest, d, highest);
      continue;
    }
    for (size_t j = 0; j < d; ++j) {
      lowest[j] = std::min(lowest[j], key[j]);
      highest[j] = std::max(highest[j], key[j]);
    }
  }
  std::byte* const group =
      cache_->stores_[kBounds].unit(layer, kv_head, pages_[block / kBoundsGroupBlocks], 0);
  bounds_set(group, block % kBoundsGroupBlocks, lowest, highest, d);
}

// Computes the gate keys of the complete blocks that hold tokens [first, end), just stored; the
// first n_valid of the sequence were there before.
void KvSequence::update_gate_keys(size_t layer, size_t kv_head, size_t first, size_t end,
                                  size_t n_valid) {
  if (cache_->gates_ == nullptr) return;
  const CacheConfig& config = cache_->config_;
  const size_t n_complete = std::max(n_valid, end) / config.block_size;
  for (size_t block = first / config.block_size;
       block < n_complete && block * config.block_size < end; ++block) {
    const auto read = [&](size_t t, float* key) {
      const size_t pos = block * config.block_size + t;
      read_k(config.k_type, tile(layer, kv_head, pos), pos % kTileTokens, key, config.head_dim);
    };
    alignas(64) float gate_key[kMaxGateDim];
    cache_->gates_->encode_key(layer, kv_head, block, read, gate_key);
    const uint32_t page = pages_[block / kBoundsGroupBlocks];
    half_tile_set_row(cache_->stores_[kGateKeys].unit(layer, kv_head, page, 0),
                      block % kBoundsGroupBlocks, gate_key, config.gate_dim);
  }
}

KvView KvSequence::view(size_t layer, size_t kv_head) const {
  const CacheConfig& config = cache_->config_;
  LH_CHECK(layer < config.n_layers && kv_head < config.n_kv_heads);
  const PagedStore& store = cache_->stores_[kTiles];
  return {.base = store.base(layer, kv_head),
          .page_stride = store.page_stride(),
          .pages = pages_.data(),
          .tiles_per_page = config.tiles_per_page(),
          .k_type = config.k_type,
          .v_type = config.v_type,
          .key_dim = config.head_dim,
          .value_dim = config.head_dim};
}

BoundsView KvSequence::bounds(size_t layer, size_t kv_head) const {
  const CacheConfig& config = cache_->config_;
  LH_CHECK(layer < config.n_layers && kv_head < config.n_kv_heads);
  const PagedStore& store = cache_->stores_[kBounds];
  BoundsView view;
  view.base = store.base(layer, kv_head);
  view.page_stride = store.page_stride();
  view.pages = pages_.data();
  view.head_dim = config.head_dim;
  view.n_blocks = ceil_div(n_tokens_, config.block_size);
  return view;
}

HalfMatrixView KvSequence::gate_keys(size_t layer, size_t kv_head) const {
  const CacheConfig& config = cache_->config_;
  LH_CHECK(layer < config.n_layers && kv_head < config.n_kv_heads);
  const PagedStore& store = cache_->stores_[kGateKeys];
  return {.base = store.base(layer, kv_head),
          .tile_stride = store.page_stride(),
          .pages = pages_.data(),
          .n_rows = config.gate_dim == 0 ? 0 : n_tokens_ / config.block_size,
          .n_cols = config.gate_dim};
}

void KvSequence::truncate(size_t n_tokens) {
  LH_CHECK(n_tokens <= n_tokens_);
  const CacheConfig& config = cache_->config_;
  const size_t n_pages = ceil_div(n_tokens, config.page_tokens());
  while (pages_.size() > n_pages) {
    cache_->pool_.release(pages_.back());
    pages_.pop_back();
  }
  const bool cuts_block = n_tokens < n_tokens_ && n_tokens % config.block_size != 0;
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
    set_bounds(i / config.n_kv_heads, i % config.n_kv_heads, n_tokens / config.block_size,
               n_tokens);
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
  child.written_ = written_;
  child.n_tokens_ = n_tokens_;
  for (const uint32_t page : pages_) pool.share(page);
  settle_reserve();
  child.settle_reserve();
  return child;
}

}  // namespace longhaul
