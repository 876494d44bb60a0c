// exact: sparse steps draft a few tokens, or the text's own past does where it said the same before
// (copy_drafts.h); one dense pass over them gives the logits dense decoding
// would have had, in the same bits, and rewrites their K and V on the way. Drafts that agree are
// kept, the first that does not is replaced by the dense choice, and the cache is cut after it.
// The text is that of dense decoding token for token, sampled or not: what is drawn at a position
// depends on the seed, the position and its logits alone (sampling/sampler.h).
#include <algorithm>
#include <cmath>

#include "engine/copy_drafts.h"
#include "engine/run.h"

namespace longhaul {
namespace {

constexpr size_t kLeastDraft = 2;
// How much of the acceptance estimate survives a round.
constexpr double kMemory = 0.9;

// Knows how many drafts were accepted, and chooses the length of the next one from that. It never
// looks at a clock, so that a request with a seed gives the same text every time.
class DraftLength {
 public:
  // The probability that a draft is kept, recent ones above all.
  double acceptance() const { return n_accepted_ / n_judged_; }
  size_t next(size_t longest) const {
    // With acceptance a per token, a/(1-a) drafts are accepted on average before the first miss.
    const double misses = std::max(1e-3, 1.0 - acceptance());
    const double expected = (1.0 - misses) / misses;
    return std::clamp(static_cast<size_t>(std::lround(expected)), std::min(kLeastDraft, longest),
                      longest);
  }
  void update(size_t n_accepted, size_t n_judged) {
    n_accepted_ = n_accepted_ * kMemory + static_cast<double>(n_accepted);
    n_judged_ = n_judged_ * kMemory + static_cast<double>(n_judged);
  }

 private:
  double n_accepted_ = 15.0;  // as if 15 of 16 had been accepted
  double n_judged_ = 16.0;
};

class ExactMode : public DecodeMode {
 public:
  explicit ExactMode(DraftPlan plan) : plan_(std::move(plan)) {}

  size_t clean_from(const Text& text, bool) const override { return text.n_clean(); }
  bool owes(const Run&) const override { return !drafts_.empty(); }

  // A dense step; or a round: draft after draft, then the pass that verifies them.
  Planned plan(Run& run) override {
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

  Status take(Run& run, const Step& step, MatrixView<const float> logits) override {
    if (drafts_.empty()) return run.append({logits.row(0), logits.n_cols});
    if (is_drafting_) return take_draft(run, {logits.row(0), logits.n_cols});
    if (step.n_logits == 0) return {};  // caught up
    return judge(run, logits);
  }

 private:
  bool begin_round(Run& run) {
    const size_t longest =
        std::min({run.options().rectify_every, run.n_left() - 1, run.max_rows() - 1});
    if (longest == 0) return false;
    const auto copied = copies_.propose(run.text().tokens(), longest);
    is_copied_ = !copied.empty();
    if (!is_copied_) {
      if (run.selects_everything()) return false;
      n_wanted_ = plan_ ? plan_(length_.acceptance(), longest) : length_.next(longest);
      if (n_wanted_ == 0) return false;
    }
    drafts_.reserve(std::min(run.options().rectify_every, run.max_rows() - 1) + 1);
    drafts_.push_back(run.text().tokens().back());
    drafts_.insert(drafts_.end(), copied.begin(), copied.end());
    is_drafting_ = !is_copied_;
    run.text().mark();
    return true;
  }

  // Drafting ends early with a token that would end the text.
  Status take_draft(Run& run, std::span<const float> logits) {
    const size_t position = run.text().size() + drafts_.size() - 1;
    LH_ASSIGN_OR_RETURN(const int32_t token, run.draw(logits, position));
    drafts_.push_back(token);
    is_drafting_ = n_drafted() < n_wanted_ && !run.is_end(token);
    if (!is_drafting_) run.undraw(n_drafted());
    return {};
  }

  // The text goes on with the accepted drafts and one dense choice behind them.
  Status judge(Run& run, MatrixView<const float> logits) {
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
      copies_.judge(n_accepted, n_drafted());
    } else {
      length_.update(n_accepted, std::min(n_drafted(), n_accepted + 1));
    }
    drafts_.clear();
    // The dense pass has just stored everything before the newest token, which stays out.
    run.text().rewind(run.text().size() - 1);
    return {};
  }

  size_t n_drafted() const { return drafts_.size() - 1; }

  DraftPlan plan_;
  DraftLength length_;
  std::vector<int32_t> drafts_;  // of a round: the newest token, then what may follow it
  size_t n_wanted_ = 0;
  bool is_drafting_ = false;
  CopyDrafts copies_;
  bool is_copied_ = false;  // the drafts of this round are
};

}  // namespace

std::unique_ptr<DecodeMode> make_exact_mode(DraftPlan plan) {
  return std::make_unique<ExactMode>(std::move(plan));
}

}  // namespace longhaul
