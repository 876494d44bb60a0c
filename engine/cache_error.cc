// Session::cache_error: how far what a mode left in the cache is from what another did.
#include <algorithm>
#include <cmath>

#include "engine/engine_impl.h"
#include "kernels/kv_tile.h"

namespace longhaul {
namespace {

struct Sums {
  double squares = 0, errors = 0;

  void add(std::span<const float> found, std::span<const float> wanted) {
    for (size_t i = 0; i < wanted.size(); ++i) {
      const double error = double{found[i]} - double{wanted[i]};
      squares += double{wanted[i]} * double{wanted[i]};
      errors += error * error;
    }
  }
  double relative() const { return squares > 0 ? std::sqrt(errors / squares) : 0; }
};

// Reads keys and values of one (layer, KV head) back as attention sees them.
class Reader {
 public:
  explicit Reader(const KvView& view) : view_(view), k_(view.key_dim), v_(view.value_dim) {}

  std::span<const float> key(size_t position) {
    read_k(view_.k_type, view_.k_tile(position / kTileTokens), position % kTileTokens, k_.data(),
           view_.key_dim);
    return k_;
  }
  std::span<const float> value(size_t position) {
    read_v(view_.v_type, view_.v_tile(position / kTileTokens), position % kTileTokens, v_.data(),
           view_.value_dim);
    return v_;
  }

 private:
  KvView view_;
  std::vector<float> k_, v_;
};

}  // namespace

Result<CacheError> Session::cache_error(const Session& reference, size_t first, size_t end) const {
  LH_RETURN_IF_ERROR(impl_->engine->check_on_host("cache error"));
  LH_RETURN_IF_ERROR(reference.impl_->engine->check_on_host("cache error"));
  const Text& text = impl_->text;
  const Text& other = reference.impl_->text;
  const size_t n_both = std::min(text.n_cached(), other.n_cached());
  if (first > end || end > n_both) {
    return bad_input("cache error: tokens {} to {} asked for, both caches hold {}", first, end,
                     n_both);
  }
  const CacheConfig& config = text.kv().config();
  const CacheConfig& wanted = other.kv().config();
  if (config.n_layers != wanted.n_layers || config.n_kv_heads != wanted.n_kv_heads ||
      config.key_dim != wanted.key_dim || config.value_dim != wanted.value_dim) {
    return bad_input("cache error: the two sessions are of models of different shapes");
  }
  Sums k, v;
  for (size_t layer = 0; layer < config.n_layers; ++layer) {
    for (size_t head = 0; head < config.n_kv_heads; ++head) {
      Reader mine(text.kv().view(layer, head));
      Reader theirs(other.kv().view(layer, head));
      for (size_t position = first; position < end; ++position) {
        k.add(mine.key(position), theirs.key(position));
        v.add(mine.value(position), theirs.value(position));
      }
    }
  }
  return CacheError{k.relative(), v.relative()};
}

}  // namespace longhaul
