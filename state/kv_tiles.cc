// Tiles of a paged slot as bytes, for who keeps stretches of a text elsewhere, and the same of all
// slots of a state. Tiles alone: what selectors keep follows from the keys, whichever selectors
// there are.
#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "state/sequence_state.h"

namespace longhaul {
namespace {

// Calls visit(token, count) for the stretches of [first, end) that lie in one page each.
template <class Visit>
void for_each_stretch(size_t first, size_t end, size_t page_tokens, Visit visit) {
  while (first < end) {
    const size_t next = std::min(end, (first / page_tokens + 1) * page_tokens);
    visit(first, next - first);
    first = next;
  }
}

}  // namespace

size_t KvCache::tiles_bytes(size_t count) const {
  const size_t tile_bytes = stores_.front().spec().unit_bytes;
  return config_.n_layers * config_.n_kv_heads * (count / kTileTokens) * tile_bytes;
}

void KvSequence::copy_tiles(size_t first, size_t count, std::span<std::byte> to) const {
  LH_CHECK(first % kTileTokens == 0 && count % kTileTokens == 0 && first + count <= n_tokens_);
  LH_CHECK(to.size() == tiles_bytes(count) && !cache_->is_on_device() && config().window == 0);
  const size_t tile_bytes = cache_->stores_.front().spec().unit_bytes;
  std::byte* out = to.data();
  for (size_t i = 0; i < written_.size(); ++i) {
    LH_CHECK(written_[i] >= first + count);
    const size_t layer = i / config().n_kv_heads;
    const size_t head = i % config().n_kv_heads;
    for_each_stretch(first, first + count, config().page_tokens(), [&](size_t pos, size_t n) {
      const size_t n_bytes = n / kTileTokens * tile_bytes;
      std::memcpy(out, tile(layer, head, pos), n_bytes);
      out += n_bytes;
    });
  }
}

void KvSequence::store_tiles(size_t first, size_t count, std::span<const std::byte> from) {
  LH_CHECK(first % kTileTokens == 0 && count % kTileTokens == 0 && first + count <= n_tokens_);
  LH_CHECK(from.size() == tiles_bytes(count) && !cache_->is_on_device() && config().window == 0);
  const size_t tile_bytes = cache_->stores_.front().spec().unit_bytes;
  const std::byte* in = from.data();
  for (size_t i = 0; count > 0 && i < written_.size(); ++i) {
    LH_CHECK(written_[i] >= first);
    const size_t layer = i / config().n_kv_heads;
    const size_t head = i % config().n_kv_heads;
    for_each_stretch(first, first + count, config().page_tokens(), [&](size_t pos, size_t n) {
      const size_t n_bytes = n / kTileTokens * tile_bytes;
      std::memcpy(tile(layer, head, pos), in, n_bytes);
      in += n_bytes;
    });
    written_[i] = std::max(written_[i], static_cast<uint32_t>(first + count));
    update_summaries(layer, head, first, first + count);
  }
}

bool StatePool::is_piecewise() const {
  return std::all_of(caches_.begin(), caches_.end(), [](const auto& cache) {
    return cache != nullptr && cache->config().window == 0;
  });
}

size_t StatePool::tiles_bytes(size_t count) const {
  size_t n_bytes = 0;
  for (const auto& cache : caches_) n_bytes += cache->tiles_bytes(count);
  return n_bytes;
}

void SequenceState::copy_tiles(size_t first, size_t count, std::span<std::byte> to) const {
  LH_CHECK(to.size() == tiles_bytes(count));
  for (size_t i = 0; i < n_slots(); ++i) {
    const size_t n_bytes = paged(i).tiles_bytes(count);
    paged(i).copy_tiles(first, count, to.first(n_bytes));
    to = to.subspan(n_bytes);
  }
}

Status SequenceState::append_tiles(size_t count, std::span<const std::byte> from) {
  LH_CHECK(from.size() == tiles_bytes(count));
  const size_t first = n_tokens_;
  LH_RETURN_IF_ERROR(reserve(first, count));
  for (size_t i = 0; i < n_slots(); ++i) {
    const size_t n_bytes = paged(i).tiles_bytes(count);
    paged(i).store_tiles(first, count, from.first(n_bytes));
    from = from.subspan(n_bytes);
  }
  return {};
}

}  // namespace longhaul
