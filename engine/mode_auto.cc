// auto: whichever mode the cost model says is cheapest at the present length, among those that keep
// the quality asked for: `dense` and `exact` by default, which say the same. It decides from the
// calibration, the length and the drafts accepted so far, never from a clock, so that the same
// request with the same calibration gives the same text, sampled or not.
#include <algorithm>

#include "base/check.h"
#include "engine/cost_model.h"
#include "engine/decode.h"

namespace longhaul {
namespace {

// Tokens between two drafts on trial where too few were accepted; doubled while the verdict stands.
constexpr size_t kFirstTrial = 128;
constexpr size_t kLastTrial = 4096;
// Tokens between two renewals of what is reported.
constexpr size_t kReportEvery = 256;

class AutoMode : public DecodeMode {
 public:
  Status step(DecodeContext& context) override {
    LH_CHECK(context.calibration != nullptr);
    const CostModel costs(*context.calibration, context.options, context.selector,
                          context.block_size());
    const AttentionMode mode = decide(context, costs);
    Text& state = context.state;
    const bool needs_clean = mode == AttentionMode::kDense || mode == AttentionMode::kExact;
    if (needs_clean && state.n_clean < state.cache.n_tokens()) LH_RETURN_IF_ERROR(context.clean());
    context.stats.mode = mode;
    return decode_mode(mode).step(context);
  }

 private:
  AttentionMode decide(DecodeContext& context, const CostModel& costs) {
    const size_t n_tokens = context.state.tokens.size();
    AutoChoice& choice = context.stats.auto_choice;
    AttentionMode mode = costs.choose(n_tokens, acceptance_, choice.costs);
    const bool trial = mode == AttentionMode::kDense && exact_on_trial(costs, n_tokens);
    period_ = choice.costs[static_cast<size_t>(AttentionMode::kResa)].every;
    draft_ = choice.costs[static_cast<size_t>(AttentionMode::kExact)].every;
    if (!reported_ || mode != verdict_ || n_tokens >= next_report_) {
      reported_ = true;
      verdict_ = mode;
      next_report_ = n_tokens + kReportEvery;
      choice.crossover = costs.crossover(acceptance_);
      choice.acceptance = acceptance_;
      context.stats.reason = reason(mode, choice, n_tokens, costs.selects_everything(n_tokens));
    }
    return trial ? AttentionMode::kExact : mode;
  }

  // Where only bad drafts speak against `exact`, a round of it now and then finds out whether they
  // still do.
  bool exact_on_trial(const CostModel& costs, size_t n_tokens) {
    if (acceptance_ >= kAssumedAcceptance || n_tokens < next_trial_) return false;
    std::array<ModeCost, 4> ignored;
    if (costs.choose(n_tokens, kAssumedAcceptance, ignored) != AttentionMode::kExact) return false;
    next_trial_ = n_tokens + interval_;
    interval_ = std::min(2 * interval_, kLastTrial);
    return true;
  }

  static std::string reason(AttentionMode mode, const AutoChoice& choice, size_t n_tokens,
                            bool everything) {
    std::string text = fmt::format("{}: ", to_string(mode));
    if (everything) return text + "the sparse budget covers every block";
    text += "predicted";
    for (const ModeCost& cost : choice.costs) {
      text += fmt::format(" {} {:.2f}{}", to_string(cost.mode), cost.ms_per_token,
                          cost.mode == AttentionMode::kExact ? "" : ",");
    }
    text += fmt::format(" ms a token at {} tokens with {:.0f}% of drafts accepted; ", n_tokens,
                        100 * choice.acceptance);
    return text + (choice.crossover == 0 ? std::string("dense at every length")
                                         : fmt::format("dense below {}", choice.crossover));
  }

  DecodeMode& decode_mode(AttentionMode mode) {
    auto& made = modes_[static_cast<size_t>(mode)];
    if (made) return *made;
    if (mode == AttentionMode::kExact) {
      made = make_exact_mode([this](double acceptance, size_t longest) {
        acceptance_ = acceptance;
        return std::min(longest, std::max<size_t>(1, draft_));
      });
    } else if (mode == AttentionMode::kResa) {
      made = make_resa_mode(&period_);
    } else {
      made = make_mode(mode);
    }
    return *made;
  }

  std::array<std::unique_ptr<DecodeMode>, 4> modes_;  // by AttentionMode, made when first chosen
  double acceptance_ = kAssumedAcceptance;
  size_t draft_ = 1;
  size_t period_ = 1;
  bool reported_ = false;
  AttentionMode verdict_ = AttentionMode::kDense;
  size_t next_report_ = 0;
  size_t next_trial_ = 0;
  size_t interval_ = kFirstTrial;
};

}  // namespace

std::unique_ptr<DecodeMode> make_auto_mode() { return std::make_unique<AutoMode>(); }

}  // namespace longhaul
