#include "engine/mode_exact.h"

#include <algorithm>
#include <cmath>

#include "engine/cost_model.h"
#include "engine/run.h"

namespace longhaul {
namespace {

constexpr size_t kLeastDraft = 2;

// With acceptance a per token, a/(1-a) drafts are accepted on average before the first miss.
size_t expected_run(double acceptance, size_t longest) {
  const double misses = std::max(1e-3, 1.0 - acceptance);
  const double expected = (1.0 - misses) / misses;
  return std::clamp(static_cast<size_t>(std::lround(expected)), std::min(kLeastDraft, longest),
                    longest);
}

// How many drafts of a kind are worth a round where `without` is what a token costs otherwise; 0 if
// none are. cost(acceptance) prices a round. Where only bad drafts speak against them, a round now
// and then finds out whether they still do.
template <class Cost>
size_t worthwhile(Acceptance& kept, double without, size_t n_tokens, const Cost& cost) {
  const ModeCost round = cost(kept.value());
  if (round.ms_per_token < without) return round.every;
  const bool could_pay =
      kept.value() < kAssumedAcceptance && cost(kAssumedAcceptance).ms_per_token < without;
  return could_pay && kept.on_trial(n_tokens) ? round.every : 0;
}

}  // namespace

size_t ExactMode::clean_from(const Text& text, bool) const { return text.n_clean(); }
bool ExactMode::owes(const Run&) const { return !drafts_.empty(); }

// A dense step; or a round: draft after draft, then the pass that verifies them.
Planned ExactMode::plan(Run& run) {
  Text& text = run.text();
  if (drafts_.empty() && !begin_round(run)) return run.dense_step();
  if (is_drafting_) {
    Planned draft{text.step(std::span<const int32_t>(drafts_).last(1), 1), Work::kStep};
    draft.step.selector = &run.selector();
    draft.step.attention = &run.options();
    return draft;
  }
  const size_t first = text.size() - 1;  // where the newest token stands
  if (text.n_cached() > first) text.rewind(first);
  if (text.n_cached() < first) return run.catch_up();
  return {text.step(drafts_, drafts_.size()), Work::kChunk};
}

Status ExactMode::take(Run& run, const Step& step, MatrixView<const float> logits) {
  if (drafts_.empty()) return run.append({logits.row(0), logits.n_cols});
  if (is_drafting_) return take_draft(run, {logits.row(0), logits.n_cols});
  if (step.n_logits == 0) return {};  // caught up
  return judge(run, logits);
}

bool ExactMode::begin_round(Run& run) {
  const size_t longest =
      std::min({run.options().rectify_every, run.n_left() - 1, run.max_rows() - 1});
  if (longest == 0) return false;
  const auto copied = copies_.propose(run.text().tokens(), longest);
  const size_t n_copied = copied.empty() ? 0 : n_to_copy(run, std::min(longest, copies_.room()));
  is_copied_ = n_copied > 0;
  if (!is_copied_) {
    n_wanted_ = n_to_draft(run, longest);
    if (n_wanted_ == 0) return false;
  }
  drafts_.reserve(std::min(run.options().rectify_every, run.max_rows() - 1) + 1);
  drafts_.push_back(run.text().tokens().back());
  // Where they reach the end of the text, it repeats itself.
  for (size_t i = 0; i < n_copied; ++i) drafts_.push_back(copied[i % copied.size()]);
  is_drafting_ = !is_copied_;
  run.text().mark();
  return true;
}

CostModel ExactMode::costs(const Run& run) const {
  return {*calibration_, run.options(), run.selector(), run.text().block_size()};
}

// How many of `longest` copied drafts to verify.
size_t ExactMode::n_to_copy(Run& run, size_t longest) {
  if (longest == 0 || !calibration_) return longest;
  const size_t n_tokens = run.text().size();
  const CostModel costs = this->costs(run);
  double without = costs.dense(n_tokens).ms_per_token;
  if (!run.selects_everything())
    without = std::min(without, costs.exact(n_tokens, sparse_.value()).ms_per_token);
  return worthwhile(copied_, without, n_tokens,
                    [&](double acceptance) { return costs.copied(n_tokens, acceptance, longest); });
}

// How many tokens to draft by sparse steps, at most `longest`; 0: a dense step in their place.
size_t ExactMode::n_to_draft(Run& run, size_t longest) {
  if (run.selects_everything()) return 0;
  if (!calibration_) return expected_run(sparse_.value(), longest);
  const size_t n_tokens = run.text().size();
  const CostModel costs = this->costs(run);
  const double dense = costs.dense(n_tokens).ms_per_token;
  const size_t wanted = worthwhile(sparse_, dense, n_tokens, [&](double acceptance) {
    return costs.exact(n_tokens, acceptance);
  });
  return std::min(longest, wanted);
}

// Drafting ends early with a token that would end the text.
Status ExactMode::take_draft(Run& run, std::span<const float> logits) {
  const size_t position = run.text().size() + drafts_.size() - 1;
  LH_ASSIGN_OR_RETURN(const int32_t token, run.draw(logits, position));
  drafts_.push_back(token);
  is_drafting_ = n_drafted() < n_wanted_ && !run.is_end(token);
  if (!is_drafting_) run.undraw(n_drafted());
  return {};
}

// The text goes on with the accepted drafts and one dense choice behind them.
Status ExactMode::judge(Run& run, MatrixView<const float> logits) {
  size_t n_accepted = 0;
  for (size_t i = 0; i <= n_drafted(); ++i) {
    LH_RETURN_IF_ERROR(run.append({logits.row(i), logits.n_cols}));
    const int32_t dense = run.text().tokens().back();
    if (i == n_drafted() || dense != drafts_[i + 1]) break;
    ++n_accepted;
    if (run.is_end(dense)) break;
  }
  AttentionStats& stats = run.stats();
  ++stats.rectifications;
  stats.drafted += n_drafted();
  stats.accepted += n_accepted;
  if (is_copied_) {
    stats.copied += n_drafted();
    stats.copied_accepted += n_accepted;
    copies_.judge(n_accepted, n_drafted());
  }
  (is_copied_ ? copied_ : sparse_).judge(n_accepted, n_drafted());
  drafts_.clear();
  // The dense pass has just stored everything before the newest token, which stays out.
  run.text().rewind(run.text().size() - 1);
  return {};
}

}  // namespace longhaul
