#include "engine/decode.h"

#include <xxhash.h>

#include <algorithm>

#include "base/check.h"

namespace longhaul {

void Text::truncate(size_t n_tokens) {
  tokens.resize(std::min(n_tokens, tokens.size()));
  cache.rewind(std::min(n_tokens, cache.n_tokens()));
  n_clean = std::min(n_clean, cache.n_tokens());
  n_rectified = std::min(n_rectified, cache.n_tokens());
  if (cache.n_tokens() <= first_random) first_random = kNoRandom;
}

void Text::set_clean(size_t n) {
  n_clean = n;
  n_rectified = std::max(n_rectified, n);
}

namespace {

AttentionOptions wide(AttentionOptions options) {
  options.sparse_ratio = options.rectify_ratio;
  options.token_budget = 0;
  options.gate_threshold = 0;
  return options;
}

}  // namespace

DecodeContext::DecodeContext(Model& model_in, Text& state_in, Sampler& sampler_in,
                             const AttentionOptions& options_in,
                             std::function<bool(int32_t)> is_end_in)
    : model(model_in),
      state(state_in),
      sampler(sampler_in),
      options(options_in),
      selector(*find_selector(options_in.selector)),
      is_end(std::move(is_end_in)),
      wide_options_(wide(options_in)),
      logits_(model_in.plan().vocab_size) {
  stats.mode = options.mode;
}

bool DecodeContext::selects_everything() const {
  const size_t n_blocks =
      (state.cache.n_tokens() + block_size()) / block_size();  // with the newest token
  return n_selected_blocks(options, selector, n_blocks, block_size()) == n_blocks;
}

Result<std::span<const float>> DecodeContext::step(const Selector* chosen) {
  const size_t pos = state.cache.n_tokens();
  LH_CHECK(pos + 1 == state.tokens.size());
  Step step;
  step.state = &state.cache;
  step.tokens = std::span<const int32_t>(state.tokens).last(1);
  step.first_pos = pos;
  step.n_logits = 1;
  step.selector = chosen;
  step.attention = &options;
  step.observer = observer;
  const size_t vocab_size = model.plan().vocab_size;
  LH_RETURN_IF_ERROR(model.run(step, MatrixView<float>(logits_.data(), 1, vocab_size),
                               profile == nullptr ? nullptr : &profile->steps));
  stats.blocks_read += step.stats.blocks_read;
  stats.blocks_total += step.stats.blocks_total;
  return std::span<const float>(logits_.data(), vocab_size);
}

Result<std::span<const float>> DecodeContext::sparse_step() {
  ++stats.sparse_steps;
  return step(&selector);
}

Result<std::span<const float>> DecodeContext::dense_step() {
  const bool clean = state.n_clean == state.cache.n_tokens();
  LH_ASSIGN_OR_RETURN(const auto logits, step(nullptr));
  ++stats.dense_steps;
  if (clean) state.set_clean(state.cache.n_tokens());
  return logits;
}

Status DecodeContext::rectify() { return rectify_by(options.rectify); }
Status DecodeContext::clean() { return rectify_by(RectifyKind::kDense); }

Status DecodeContext::rectify_by(RectifyKind kind) {
  const bool dense = kind == RectifyKind::kDense;
  const size_t end = state.cache.n_tokens();
  StepStats read;
  for (size_t pos = dense ? state.n_clean : state.n_rectified; pos < end;) {
    const size_t n = std::min(end - pos, model.max_rows());
    Step step;
    step.state = &state.cache;
    step.tokens = std::span<const int32_t>(state.tokens).subspan(pos, n);
    step.first_pos = pos;
    if (!dense) {
      step.selector = &selector;
      step.attention = &wide_options_;
      if (kind == RectifyKind::kAdaptive) step.tolerance = options.rectify_tolerance;
    }
    LH_RETURN_IF_ERROR(model.run(step, {}, profile == nullptr ? nullptr : &profile->chunks));
    read += step.stats;
    pos += n;
  }
  if (dense) state.set_clean(end);
  state.n_rectified = end;
  ++stats.rectifications;
  stats.rectified_blocks_read += read.rectified_blocks_read;
  stats.rectified_blocks_total += read.rectified_blocks_total;
  return {};
}

Result<MatrixView<const float>> DecodeContext::prefill(size_t first, size_t n_logits,
                                                       FunctionRef<bool(size_t)> on_chunk) {
  return dense_pass(first, n_logits, profile == nullptr ? nullptr : &profile->prompt, on_chunk);
}

Result<MatrixView<const float>> DecodeContext::verify(size_t first, size_t n_logits) {
  return dense_pass(first, n_logits, profile == nullptr ? nullptr : &profile->chunks,
                    [](size_t) { return true; });
}

Result<MatrixView<const float>> DecodeContext::dense_pass(size_t first, size_t n_logits,
                                                          PassTimes* times,
                                                          FunctionRef<bool(size_t)> on_chunk) {
  const size_t vocab_size = model.plan().vocab_size;
  LH_CHECK(n_logits <= model.max_rows() && first + n_logits <= state.tokens.size());
  logits_.ensure(n_logits * vocab_size);
  const bool clean = state.n_clean >= first;
  const bool rectified = state.n_rectified >= first;
  const size_t end = state.tokens.size();
  for (size_t pos = first; pos < end;) {
    // The rows with logits go into the last pass together.
    const size_t n_before = end - n_logits > pos ? end - n_logits - pos : 0;
    const size_t n =
        end - pos <= model.max_rows() ? end - pos : std::min(n_before, model.max_rows());
    Step step;
    step.state = &state.cache;
    step.tokens = std::span<const int32_t>(state.tokens).subspan(pos, n);
    step.first_pos = pos;
    step.n_logits = pos + n == end ? n_logits : 0;
    const MatrixView<float> logits(logits_.data(), step.n_logits, vocab_size);
    LH_RETURN_IF_ERROR(model.run(step, logits, times));
    pos += n;
    if (clean) state.set_clean(pos);
    if (rectified) state.n_rectified = std::max(state.n_rectified, pos);
    if (!on_chunk(pos - first)) return make_error(ErrorCode::kCancelled, "stopped by the caller");
  }
  return MatrixView<const float>(logits_.data(), n_logits, vocab_size);
}

void DecodeContext::note_final(std::span<const float> logits) {
  if (profile == nullptr) return;
  profile->logits_hash =
      XXH3_64bits_withSeed(logits.data(), logits.size_bytes(), profile->logits_hash);
}

Status DecodeContext::append_sample(std::span<const float> logits) {
  if (forced != nullptr) {
    const size_t index = forced->n_taken++;
    state.tokens.push_back(forced->tokens[index]);
    if (forced->on_logits(index, logits)) return {};
    return make_error(ErrorCode::kCancelled, "stopped by the caller");
  }
  note_final(logits);
  return append_draft(logits);
}

Status DecodeContext::append_draft(std::span<const float> logits) {
  LH_ASSIGN_OR_RETURN(const int32_t token, choose(logits, state.tokens.size()));
  state.tokens.push_back(token);
  return {};
}

Result<int32_t> DecodeContext::choose(std::span<const float> logits, size_t position) {
  if (!sampler.any_candidate(logits)) {
    return bad_input("no token can follow position {}: every logit is NaN or -infinity",
                     position - 1);
  }
  const int32_t token = sampler.sample(logits, position);
  sampler.accept(token);
  return token;
}

std::unique_ptr<DecodeMode> make_mode(AttentionMode mode) {
  switch (mode) {
    case AttentionMode::kDense:
      return make_dense_mode();
    case AttentionMode::kSparse:
      return make_sparse_mode();
    case AttentionMode::kResa:
      return make_resa_mode();
    case AttentionMode::kExact:
      return make_exact_mode();
    case AttentionMode::kAuto:
      return make_auto_mode();
  }
  LH_CHECK(false);
}

}  // namespace longhaul
