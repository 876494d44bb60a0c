// Session::score: a fixed text through an attention mode. Sparse modes run the very steps that
// `generate` runs, with given tokens in place of drawn ones; dense runs in chunks, which have the
// same bits.
#include <algorithm>
#include <chrono>
#include <optional>

#include "engine/engine_impl.h"
#include "engine/recall.h"
#include "model/state_slots.h"

namespace longhaul {
namespace {

constexpr size_t kDenseRows = 32;  // rows of logits that are held at once

Result<std::vector<const Selector*>> find_selectors(const std::vector<std::string>& names) {
  std::vector<const Selector*> selectors;
  for (const std::string& name : names) {
    const Selector* selector = find_selector(name);
    if (selector == nullptr) return bad_input("recall: no selector is named '{}'", name);
    selectors.push_back(selector);
  }
  return selectors;
}

// Leaves exactly the newest token out of the cache. Every mode but `sparse` starts from a clean
// cache.
Status settle(DecodeContext& context) {
  Text& state = context.state;
  const size_t n_cached = state.tokens.size() - 1;
  const bool keep_unclean = context.options.mode != AttentionMode::kDense;
  const size_t first = keep_unclean ? state.cache.n_tokens() : state.n_clean;
  if (first < n_cached) {
    LH_RETURN_IF_ERROR(context.prefill(first, 0, [](size_t) { return true; }));
  }
  state.cache.rewind(n_cached);
  state.n_clean = std::min(state.n_clean, n_cached);
  state.n_rectified = std::min(state.n_rectified, n_cached);
  return {};
}

// Takes the tokens in chunks: the newest token and all but the last of a piece give its logits.
Status score_in_chunks(DecodeContext& context) {
  Text& state = context.state;
  ForcedTokens& forced = *context.forced;
  const size_t n_rows = std::min(kDenseRows, context.model.max_rows());
  while (forced.n_taken < forced.tokens.size()) {
    const auto rest = forced.tokens.subspan(forced.n_taken);
    const auto piece = rest.first(std::min(rest.size(), n_rows));
    const size_t first = state.tokens.size() - 1;
    state.tokens.insert(state.tokens.end(), piece.begin(), piece.end() - 1);
    LH_ASSIGN_OR_RETURN(const auto logits,
                        context.prefill(first, piece.size(), [](size_t) { return true; }));
    state.tokens.push_back(piece.back());
    for (size_t i = 0; i < piece.size(); ++i) {
      if (!forced.on_logits(forced.n_taken++, {logits.row(i), logits.n_cols})) {
        return make_error(ErrorCode::kCancelled, "stopped by the caller");
      }
    }
  }
  return {};
}

Status check_mode(AttentionMode mode) {
  if (mode == AttentionMode::kDense || mode == AttentionMode::kSparse ||
      mode == AttentionMode::kResa) {
    return {};
  }
  return bad_input("score: expected dense, sparse or resa, found {}, which says what dense says",
                   to_string(mode));
}

}  // namespace

Result<ScoreResult> Session::score(const ScoreRequest& request) {
  Text& state = impl_->state;
  Engine::Impl& engine = *impl_->engine;
  LH_RETURN_IF_ERROR(validate(request.attention, engine.options.block_size));
  LH_RETURN_IF_ERROR(check_mode(request.attention.mode));
  LH_RETURN_IF_ERROR(engine.check_selector(*find_selector(request.attention.selector)));
  LH_ASSIGN_OR_RETURN(const auto selectors, find_selectors(request.recall_of));
  for (const Selector* selector : selectors) LH_RETURN_IF_ERROR(engine.check_selector(*selector));
  if (!selectors.empty() && request.attention.gate_threshold > 0)
    return bad_input("recall: expected a budget that all selectors share, found a gate threshold");
  if (state.tokens.empty())
    return bad_input("score: the session is empty, so nothing is predicted");
  LH_RETURN_IF_ERROR(impl_->check_tokens(request.tokens));
  LH_ASSIGN_OR_RETURN(Sampler sampler, Sampler::create({}, engine.info.vocab_size));

  DecodeContext context(*engine.model, state, sampler, request.attention,
                        [](int32_t) { return false; });
  context.max_tokens = state.tokens.size() + request.tokens.size();
  std::optional<RecallProbe> probe;
  SelectionObserver observer;
  if (!selectors.empty()) {
    probe.emplace(request.attention, selectors,
                  selector_setup(engine.model->plan(), engine.options.block_size),
                  engine.options.n_threads);
    observer = probe->observer();
    context.observer = &observer;
  }
  const auto on_logits = [&](size_t index, std::span<const float> logits) {
    // The step has just stored the token these logits come from; what was stale before counts.
    const size_t n_before = state.cache.n_tokens() - 1;
    ScoredToken token{index, logits, n_before - std::min(state.n_rectified, n_before), {}};
    if (probe) token.recall = probe->mean_recall();
    return !request.on_token || request.on_token(token);
  };
  ForcedTokens forced{request.tokens, 0, on_logits};
  context.forced = &forced;

  const auto start = std::chrono::steady_clock::now();
  LH_RETURN_IF_ERROR(settle(context));
  const auto settled = std::chrono::steady_clock::now();
  if (request.attention.mode == AttentionMode::kDense && !probe) {
    LH_RETURN_IF_ERROR(score_in_chunks(context));
  } else {
    const auto mode = make_mode(request.attention.mode);
    while (forced.n_taken < forced.tokens.size()) LH_RETURN_IF_ERROR(mode->step(context));
  }
  ScoreResult result;
  result.timings.prefill_s = std::chrono::duration<double>(settled - start).count();
  result.timings.decode_s =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - settled).count();
  result.timings.decoded_tokens = request.tokens.size();
  result.attention = context.stats;
  return result;
}

}  // namespace longhaul
