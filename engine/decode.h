// What every attention mode works with: one sequence being extended, and the passes it may ask the
// model for. A mode decides what to forward next; it knows nothing of kernels.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/function_ref.h"
#include "longhaul/engine.h"
#include "model/model.h"
#include "sampling/sampler.h"

namespace longhaul {

// The text of one session and its cache. During decoding the last token is not yet in the cache.
struct Text {
  SequenceState cache;
  std::vector<int32_t> tokens;
  // The first n_clean cached tokens are what a dense prefill would have stored, bit for bit. Sparse
  // steps leave tokens behind that are not; rectification and verification clean them.
  size_t n_clean = 0;
  // The first n_rectified cached tokens need no rectification: at least the clean ones; more after
  // a partial one.
  size_t n_rectified = 0;
  // Where random keys and values begin, if there are any: they are no model's, and never saved.
  static constexpr size_t kNoRandom = SIZE_MAX;
  size_t first_random = kNoRandom;

  // The cached tokens up to n were stored by a dense pass that stood on clean ones.
  void set_clean(size_t n);
  // Forgets all but the first n_tokens tokens.
  void truncate(size_t n_tokens);
};

// Teacher forcing: the tokens a text goes on with, whatever the logits say, and who looks at these.
struct ForcedTokens {
  std::span<const int32_t> tokens;
  size_t n_taken = 0;
  // Sees the logits that token `index` would have been drawn from. False to stop.
  FunctionRef<bool(size_t index, std::span<const float> logits)> on_logits;
};

class DecodeContext {
 public:
  DecodeContext(Model& model, Text& state, Sampler& sampler, const AttentionOptions& options,
                std::function<bool(int32_t)> is_end);

  Model& model;
  Text& state;
  Sampler& sampler;
  const AttentionOptions& options;
  const Selector& selector;
  const std::function<bool(int32_t)> is_end;  // ends the generation
  AttentionStats stats;
  const Calibration* calibration = nullptr;     // for `auto`
  Profile* profile = nullptr;                   // null: nothing is timed or hashed
  ForcedTokens* forced = nullptr;               // null: tokens are drawn
  const SelectionObserver* observer = nullptr;  // of one-token steps
  size_t max_tokens =
      0;  // length the text may reach; a step adds at least one token and never goes past it

  size_t n_left() const { return max_tokens - state.tokens.size(); }
  size_t block_size() const { return state.cache.block_size(); }

  // True if a sparse step at the present length would read every block: then it is a dense step.
  bool selects_everything() const;
  // Runs the newest token over the selected blocks / over all blocks; returns its logits
  // [vocab_size].
  Result<std::span<const float>> sparse_step();
  Result<std::span<const float>> dense_step();
  // A pass over the cached tokens that are not rectified, in pieces: rewrites their K and V, by the
  // kind of pass that the options ask for.
  Status rectify();
  // The same for all cached tokens that are not clean, by dense passes whatever the options say.
  Status clean();
  // Dense pass over tokens [first, tokens.size()) with logits of the last n_logits (at most
  // max_rows() of the model).
  Result<MatrixView<const float>> prefill(size_t first, size_t n_logits,
                                          FunctionRef<bool(size_t)> on_chunk);
  // The same over drafted tokens.
  Result<MatrixView<const float>> verify(size_t first, size_t n_logits);

  // Draws the token of that position of the text from logits and tells the sampler. Error if no
  // logit is a number above -infinity.
  Result<int32_t> choose(std::span<const float> logits, size_t position);
  // The same, and appends it to the text; with `forced`, append_sample takes the next of those. A
  // draft is not final: its logits are not noted.
  Status append_sample(std::span<const float> logits);
  Status append_draft(std::span<const float> logits);
  // Adds the logits behind a final token to the profile's hash.
  void note_final(std::span<const float> logits);

 private:
  Result<std::span<const float>> step(const Selector* chosen);
  Status rectify_by(RectifyKind kind);
  Result<MatrixView<const float>> dense_pass(size_t first, size_t n_logits, PassTimes* times,
                                             FunctionRef<bool(size_t)> on_chunk);

  const AttentionOptions wide_options_;  // the options with the budget of a partial rectification
  AlignedBuffer<float> logits_;          // [rows asked for so far, vocab_size]
};

// One way of decoding, for one request.
class DecodeMode {
 public:
  virtual ~DecodeMode() = default;
  // Appends at least one final token to the text (never past max_tokens). After an end token
  // nothing is appended.
  virtual Status step(DecodeContext& context) = 0;
};

std::unique_ptr<DecodeMode> make_dense_mode();
std::unique_ptr<DecodeMode> make_sparse_mode();
// With `period`, which must outlive the mode, it is read at every step in place of the option.
std::unique_ptr<DecodeMode> make_resa_mode(const size_t* period = nullptr);
// Chooses how many tokens to draft, at most `longest`, from the probability that a draft is kept.
using DraftPlan = std::function<size_t(double acceptance, size_t longest)>;
std::unique_ptr<DecodeMode> make_exact_mode(DraftPlan plan = {});
std::unique_ptr<DecodeMode> make_auto_mode();
std::unique_ptr<DecodeMode> make_mode(AttentionMode mode);

}  // namespace longhaul
