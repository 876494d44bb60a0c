// exact: sparse steps draft a few tokens; one dense pass over them gives the logits dense decoding
// would have had, in the same bits, and rewrites their K and V on the way. Drafts that agree are
// kept, the first that does not is replaced by the dense choice, and the cache is cut after it.
// The text is that of dense decoding token for token, sampled or not: what is drawn at a position
// depends on the seed, the position and its logits alone (sampling/sampler.h).
#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "engine/decode.h"

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

  Status step(DecodeContext& context) override {
    Text& state = context.state;
    LH_CHECK(state.n_clean == state.cache.n_tokens());
    const size_t longest = std::min(
        {context.options.rectify_every, context.n_left() - 1, context.model.max_rows() - 1});
    if (longest == 0 || context.selects_everything()) {
      LH_ASSIGN_OR_RETURN(const auto logits, context.dense_step());
      return context.append_sample(logits);
    }
    const size_t first = state.cache.n_tokens();  // where the newest token will stand
    Status status = round(context, first, longest);
    // Nobody verified the drafts of a round that failed.
    if (!status) state.truncate(first + 1);
    if (!status) state.cache.truncate(std::min(first, state.cache.n_tokens()));
    return status;
  }

 private:
  Status round(DecodeContext& context, size_t first, size_t longest) {
    SequenceState& state = context.state;
    LH_RETURN_IF_ERROR(draft(context, draft_length(longest)));
    const size_t n_drafted = state.tokens.size() - first - 1;
    LH_ASSIGN_OR_RETURN(const auto logits, context.verify(first, n_drafted + 1));
    LH_ASSIGN_OR_RETURN(const size_t n_accepted, judge(context, first + 1, n_drafted, logits));
    // The newest token stays out of the cache; everything before it was just written by the dense
    // pass.
    state.cache.rewind(state.tokens.size() - 1);
    state.set_clean(state.cache.n_tokens());
    ++context.stats.rectifications;
    context.stats.drafted += n_drafted;
    context.stats.accepted += n_accepted;
    length_.update(n_accepted, std::min(n_drafted, n_accepted + 1));
    return {};
  }

  size_t draft_length(size_t longest) const {
    return plan_ ? plan_(length_.acceptance(), longest) : length_.next(longest);
  }

  // Appends up to n drafts; stops after one that would end the text.
  Status draft(DecodeContext& context, size_t n) {
    size_t n_drafted = 0;
    while (n_drafted < n) {
      LH_ASSIGN_OR_RETURN(const auto logits, context.sparse_step());
      LH_RETURN_IF_ERROR(context.append_draft(logits));
      ++n_drafted;
      if (context.is_end(context.state.tokens.back())) break;
    }
    context.sampler.rollback(n_drafted);
    return {};
  }

  // Replaces the drafts at tokens[first_draft..] by the final tokens: the accepted ones, then one
  // dense choice. Returns how many drafts were accepted.
  Result<size_t> judge(DecodeContext& context, size_t first_draft, size_t n_drafted,
                       MatrixView<const float> logits) {
    std::vector<int32_t>& tokens = context.state.tokens;
    for (size_t i = 0; i < n_drafted; ++i) {
      const std::span<const float> row(logits.row(i), logits.n_cols);
      context.note_final(row);
      LH_ASSIGN_OR_RETURN(const int32_t dense, context.choose(row, first_draft + i));
      const bool accepted = dense == tokens[first_draft + i];
      tokens[first_draft + i] = dense;
      if (!accepted || context.is_end(dense)) {
        tokens.resize(first_draft + i + 1);
        return accepted ? i + 1 : i;
      }
    }
    LH_RETURN_IF_ERROR(context.append_sample({logits.row(n_drafted), logits.n_cols}));
    return n_drafted;
  }

  DraftPlan plan_;
  DraftLength length_;
};

}  // namespace

std::unique_ptr<DecodeMode> make_exact_mode(DraftPlan plan) {
  return std::make_unique<ExactMode>(std::move(plan));
}

}  // namespace longhaul
