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

// Dense, in chunks: the newest token and all but the last of a piece give the piece's logits.
class ChunkMode : public DecodeMode {
 public:
  ChunkMode(std::span<const int32_t> tokens, size_t n_rows) : rest_(tokens), n_rows_(n_rows) {}

  size_t clean_from(const Text& text, bool) const override { return text.n_clean(); }
  Planned plan(Run& run) override {
    const size_t n = std::min(rest_.size(), n_rows_);
    piece_.assign(1, run.text().tokens().back());
    piece_.insert(piece_.end(), rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(n - 1));
    return {run.text().step(piece_, n), Work::kPrompt};
  }
  Status take(Run& run, const Step& step, MatrixView<const float> logits) override {
    for (size_t i = 0; i < step.n_logits; ++i) {
      LH_RETURN_IF_ERROR(run.append({logits.row(i), logits.n_cols}));
    }
    rest_ = rest_.subspan(step.n_logits);
    return {};
  }

 private:
  std::span<const int32_t> rest_;
  size_t n_rows_;
  std::vector<int32_t> piece_;
};

// Teacher forcing: the text goes on with given tokens, whatever the logits say.
class ScoreRun : public Run {
 public:
  ScoreRun(Text& text, const ScoreRequest& request, std::unique_ptr<DecodeMode> its_mode,
           RecallProbe* probe, Sampler sampler, size_t max_rows)
      : Run(text, request.attention, std::move(its_mode), std::move(sampler), max_rows,
            text.size() + request.tokens.size()),
        request_(request),
        probe_(probe),
        n_before_(text.size()) {
    if (probe_ != nullptr) {
      observe_ = probe_->observer();
      observer_ = &observe_;
    }
    // Exactly the newest token stays out of the cache.
    read_first(text.size() - 1, false, true);
  }

  Status append(std::span<const float> logits) override {
    // The step has just stored the token these logits come from; what was stale before counts.
    const size_t n_stored = text().n_cached() - 1;
    const size_t n_stale = n_stored - std::min(text().n_rectified(), n_stored);
    const size_t index = text().size() - n_before_;
    text().append(request_.tokens[index]);
    if (!request_.on_token) return {};
    if (seen_.size() <= n_seen_) seen_.emplace_back();
    Seen& seen = seen_[n_seen_++];
    seen.index = index;
    seen.n_stale = n_stale;
    seen.logits.assign(logits.begin(), logits.end());
    if (probe_ != nullptr) {
      const auto recall = probe_->mean_recall();
      seen.recall.assign(recall.begin(), recall.end());
    }
    return {};
  }

  bool has_news() const override { return n_seen_ > 0; }
  void deliver() override {
    for (size_t i = 0; i < n_seen_; ++i) {
      const Seen& seen = seen_[i];
      if (request_.on_token({seen.index, seen.logits, seen.n_stale, seen.recall})) continue;
      is_over_at_ = n_before_ + seen.index + 1;
      break;
    }
    n_seen_ = 0;
  }
  void settle() override {
    if (!is_over_at_) return;
    text().cut(*is_over_at_);
    cancel();
  }
  bool has_callbacks() const override { return request_.on_token != nullptr; }
  void cancel() override { fail({ErrorCode::kCancelled, "stopped by the caller"}); }

  ScoreResult result() {
    const Clock::time_point now = Clock::now();
    ScoreResult result;
    result.timings.prefill_s = std::chrono::duration<double>(read_at_ - begun_at_).count();
    result.timings.decode_s = std::chrono::duration<double>(now - read_at_).count();
    result.timings.decoded_tokens = request_.tokens.size();
    result.attention = std::move(stats());
    return result;
  }

 private:
  // What on_token is to be shown; kept, because its thread may not be the one that ran the pass.
  struct Seen {
    size_t index = 0, n_stale = 0;
    std::vector<float> logits, recall;
  };

  const ScoreRequest& request_;
  RecallProbe* probe_;  // null: nothing is measured
  SelectionObserver observe_;
  size_t n_before_;
  std::vector<Seen> seen_;  // the first n_seen_ are news
  size_t n_seen_ = 0;
  std::optional<size_t> is_over_at_;
};

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
  Text& text = impl_->text;
  Engine::Impl& engine = *impl_->engine;
  LH_RETURN_IF_ERROR(validate(request.attention, engine.options.block_size));
  LH_RETURN_IF_ERROR(check_mode(request.attention.mode));
  LH_RETURN_IF_ERROR(engine.check_selector(request.attention));
  LH_ASSIGN_OR_RETURN(const auto selectors, find_selectors(request.recall_of));
  for (const Selector* selector : selectors) LH_RETURN_IF_ERROR(engine.check_selector(*selector));
  if (!selectors.empty() && request.attention.gate_threshold > 0)
    return bad_input("recall: expected a budget that all selectors share, found a gate threshold");
  if (text.size() == 0) return bad_input("score: the session is empty, so nothing is predicted");
  LH_RETURN_IF_ERROR(impl_->check_tokens(request.tokens));

  std::optional<RecallProbe> probe;
  if (!selectors.empty()) {
    probe.emplace(request.attention, selectors,
                  selector_setup(engine.model->plan(), engine.options.block_size),
                  engine.options.n_threads);
  }
  const bool in_chunks = request.attention.mode == AttentionMode::kDense && !probe;
  std::unique_ptr<DecodeMode> mode;
  if (in_chunks) {
    const size_t n_rows = std::min(kDenseRows, engine.model->max_rows());
    mode = std::make_unique<ChunkMode>(request.tokens, n_rows);
  } else {
    mode = make_mode(request.attention);
  }
  ScoreRun run(text, request, std::move(mode), probe ? &*probe : nullptr, engine.no_sampler(),
               engine.model->max_rows());
  LH_RETURN_IF_ERROR(engine.scheduler->run(run));
  return run.result();
}

}  // namespace longhaul
