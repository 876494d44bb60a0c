#include "engine/text.h"

#include <algorithm>

#include "base/check.h"
#include "base/random.h"
#include "engine/random_fill.h"

namespace longhaul {

void Text::append(std::span<const int32_t> tokens) {
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
}

size_t Text::rewind(size_t n) {
  LH_CHECK(n <= n_cached());
  const size_t reached = cache_.rewind(n);
  n_clean_ = std::min(n_clean_, reached);
  n_rectified_ = std::min(n_rectified_, reached);
  if (reached <= first_random_) first_random_ = kNowhere;
  return reached;
}

void Text::cut(size_t n) {
  if (n < n_cached()) rewind(n);
  tokens_.resize(std::min(n, tokens_.size()));
}

Step Text::step(std::span<const int32_t> tokens, size_t n_logits) {
  Step step;
  step.state = &cache_;
  step.tokens = tokens;
  step.first_pos = n_cached();
  step.n_logits = n_logits;
  return step;
}

void Text::ran(const Step& step, bool rectifies) {
  const size_t end = step.first_pos + step.tokens.size();
  const bool is_clean = step.selector == nullptr || sparse_is_clean_;
  if (is_clean && n_clean_ >= step.first_pos) n_clean_ = end;
  if ((rectifies || sparse_is_clean_) && n_rectified_ >= step.first_pos) n_rectified_ = end;
  cache_.release(n_cached() - std::min(n_cached(), kWindowSlack));
}

Result<Text> Text::fork() const {
  LH_ASSIGN_OR_RETURN(SequenceState cache, cache_.fork());
  Text copy(std::move(cache), sparse_is_clean_);
  copy.tokens_ = tokens_;
  copy.n_clean_ = n_clean_;
  copy.n_rectified_ = n_rectified_;
  copy.first_random_ = first_random_;
  return copy;
}

Status Text::check_saveable(const std::string& path) const {
  if (first_random_ == kNowhere) return {};
  return bad_input("{}: keys and values from token {} on are random, not the model's: not saved",
                   path, first_random_);
}

Status Text::save(const std::string& path, std::string_view model_id) const {
  LH_CHECK(n_clean_ == size() && first_random_ == kNowhere);
  return cache_.save(path, tokens_, model_id);
}

Status Text::restore(const std::string& path, std::string_view model_id) {
  LH_ASSIGN_OR_RETURN(RestoredState restored, cache_.restore(path, model_id));
  tokens_ = std::move(restored.tokens);
  n_clean_ = n_rectified_ = n_cached();
  first_random_ = kNowhere;
  return {};
}

Result<std::vector<std::byte>> Text::clean_tiles(size_t first, size_t count) const {
  const size_t end = std::min({n_clean_, size(), first_random_}) / kTileTokens * kTileTokens;
  if (first % kTileTokens != 0 || count % kTileTokens != 0 || first > end || count > end - first) {
    return bad_input("clean tokens: expected multiples of {} up to {}, found {} from {} on",
                     kTileTokens, end, count, first);
  }
  std::vector<std::byte> tiles(cache_.tiles_bytes(count));
  cache_.copy_tiles(first, count, tiles);
  return tiles;
}

Status Text::append_clean(std::span<const int32_t> tokens, std::span<const std::byte> tiles) {
  if (n_clean_ != size() || n_cached() != size() || size() % kTileTokens != 0 ||
      tokens.size() % kTileTokens != 0) {
    return bad_input(
        "clean tokens: expected multiples of {} behind as many that are clean, found {} behind {} "
        "of which {} are clean",
        kTileTokens, tokens.size(), size(), n_clean_);
  }
  if (tiles.size() != cache_.tiles_bytes(tokens.size())) {
    return bad_input("clean tokens: expected {} bytes for {} tokens, found {}",
                     cache_.tiles_bytes(tokens.size()), tokens.size(), tiles.size());
  }
  LH_RETURN_IF_ERROR(cache_.append_tiles(tokens.size(), tiles));
  append(tokens);
  n_clean_ = n_rectified_ = size();
  return {};
}

Status Text::fill_random(size_t vocab_size, Backend& backend, size_t n_tokens, uint64_t seed) {
  LH_CHECK(n_tokens > size());
  const size_t first = n_cached();
  LH_RETURN_IF_ERROR(longhaul::fill_random(cache_, backend, n_tokens - first, seed));
  while (size() < n_tokens) {
    append(static_cast<int32_t>(split_mix64(seed) % vocab_size));
  }
  n_clean_ = n_rectified_ = n_tokens;
  first_random_ = std::min(first_random_, first);
  return {};
}

}  // namespace longhaul
