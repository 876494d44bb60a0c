// The text of one session and what a model remembers of it. Every use that the engine makes of the
// cache stands in this class.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/backend.h"
#include "model/step.h"
#include "state/sequence_state.h"

namespace longhaul {

class Text {
 public:
  // `sparse_is_clean`: what sparse steps leave is what dense ones would (model/plan.h).
  explicit Text(SequenceState cache, bool sparse_is_clean = false)
      : cache_(std::move(cache)), sparse_is_clean_(sparse_is_clean) {}

  // Every token. While a text is decoded the newest one is not cached yet.
  std::span<const int32_t> tokens() const { return tokens_; }
  size_t size() const { return tokens_.size(); }
  void append(int32_t token) { tokens_.push_back(token); }
  void append(std::span<const int32_t> tokens);
  void reserve(size_t n_tokens) { tokens_.reserve(n_tokens); }

  size_t n_cached() const { return cache_.n_tokens(); }
  // The first n_clean() cached tokens are what a dense prefill would have stored, bit for bit.
  // Sparse steps leave tokens behind that are not.
  size_t n_clean() const { return n_clean_; }
  // The first n_rectified() cached tokens need no rectification: at least the clean ones; more
  // after a partial one.
  size_t n_rectified() const { return n_rectified_; }
  size_t block_size() const { return cache_.block_size(); }

  // Makes the cache forget all but its first n tokens, or a few more where it can only go back to
  // a mark; the text stays. Returns the length reached: tokens from there on must be run again.
  size_t rewind(size_t n);
  // Sparse steps leave nothing to repair: the mode need neither mark nor rectify.
  bool sparse_is_clean() const { return sparse_is_clean_; }
  // A place that rewind() may want to reach: before drafts, before a sparse stretch.
  void mark() { cache_.mark(); }
  // Forgets all but the first n tokens of the text.
  void cut(size_t n);

  // A dense step over `tokens` at the end of the cache. They must outlive it.
  Step step(std::span<const int32_t> tokens, size_t n_logits);
  // The step was run. `rectifies`: a dense one always does; a partial one may.
  void ran(const Step& step, bool rectifies);

  Result<Text> fork() const;
  // Error: some of it is random.
  Status check_saveable(const std::string& path) const;
  // All of it is clean and none of it random.
  Status save(const std::string& path, std::string_view model_id) const;
  // After an Error the text is as before.
  Status restore(const std::string& path, std::string_view model_id);
  // The tiles of clean tokens as bytes (state/sequence_state.h), where the pool is_piecewise().
  // Error: not whole tiles, not clean, or random.
  Result<std::vector<std::byte>> clean_tiles(size_t first, size_t count) const;
  // Appends tokens with their tiles, clean. Error: not whole tiles, a text that is not clean to its
  // end, a full cache; then the text is as before.
  Status append_clean(std::span<const int32_t> tokens, std::span<const std::byte> tiles);
  // Appends random tokens up to n_tokens, with random keys and values.
  Status fill_random(size_t vocab_size, Backend& backend, size_t n_tokens, uint64_t seed);
  // Keys and values of the layers that selectors choose from.
  const KvSequence& kv() const { return cache_.paged(0); }

  // Tokens that may be taken back from a window: drafts, what a rectification runs again, what lies
  // behind a stop text. More, and the text is read again from its start.
  static constexpr size_t kWindowSlack = 256;

 private:
  static constexpr size_t kNowhere = SIZE_MAX;

  SequenceState cache_;
  bool sparse_is_clean_;
  std::vector<int32_t> tokens_;
  size_t n_clean_ = 0;
  size_t n_rectified_ = 0;
  size_t first_random_ = kNowhere;  // where keys and values begin that no model computed
};

}  // namespace longhaul
