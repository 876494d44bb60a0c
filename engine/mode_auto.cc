// auto: whichever mode the cost model says is cheapest at the present length, among those that keep
// the quality asked for: `dense` and `exact` by default, which say the same. It decides from the
// calibration, the length and the drafts accepted so far, never from a clock, so that the same
// request with the same calibration gives the same text, sampled or not.
#include <algorithm>

#include "engine/cost_model.h"
#include "engine/mode_exact.h"
#include "engine/run.h"

namespace longhaul {
namespace {

// Tokens between two renewals of what is reported.
constexpr size_t kReportEvery = 256;

class AutoMode : public DecodeMode {
 public:
  explicit AutoMode(const Calibration& calibration)
      : calibration_(calibration), exact_(calibration) {}

  size_t clean_from(const Text& text, bool) const override { return text.n_clean(); }
  bool owes(const Run& run) const override {
    return is_cleaning_ || (chosen_ != nullptr && chosen_->owes(run));
  }

  Planned plan(Run& run) override {
    Text& text = run.text();
    if (!owes(run) && !is_decided_) {
      const CostModel costs(calibration_, run.options(), run.selector(), text.block_size());
      const AttentionMode mode = decide(run, costs);
      run.stats().mode = mode;
      chosen_ = &decode_mode(mode, run.options());
      is_decided_ = true;
      // What a looser mode left is computed again before one that stands on a clean cache.
      const size_t clean = chosen_->clean_from(text, true);
      if (clean < text.n_cached()) text.rewind(clean);
      is_cleaning_ = text.n_cached() + 1 < text.size();
    }
    return is_cleaning_ ? run.catch_up() : chosen_->plan(run);
  }

  Status take(Run& run, const Step& step, MatrixView<const float> logits) override {
    if (!is_cleaning_) {
      is_decided_ = false;
      return chosen_->take(run, step, logits);
    }
    AttentionStats& stats = run.stats();
    stats.rectified_blocks_read += step.stats.rectified_blocks_read + step.stats.blocks_read;
    stats.rectified_blocks_total += step.stats.rectified_blocks_total + step.stats.blocks_total;
    is_cleaning_ = run.text().n_cached() + 1 < run.text().size();
    if (!is_cleaning_) ++stats.rectifications;
    return {};
  }

 private:
  AttentionMode decide(Run& run, const CostModel& costs) {
    const size_t n_tokens = run.text().size();
    AutoChoice& choice = run.stats().auto_choice;
    const double acceptance = exact_.acceptance();
    const AttentionMode mode = costs.choose(n_tokens, acceptance, choice.costs);
    period_ = choice.costs[static_cast<size_t>(AttentionMode::kResa)].every;
    if (!reported_ || mode != verdict_ || n_tokens >= next_report_) {
      reported_ = true;
      verdict_ = mode;
      next_report_ = n_tokens + kReportEvery;
      choice.crossover = costs.crossover(acceptance);
      choice.acceptance = acceptance;
      run.stats().reason = reason(mode, choice, n_tokens, costs.selects_everything(n_tokens));
    }
    return mode;
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

  // `exact` makes dense steps too, where drafts do not pay.
  DecodeMode& decode_mode(AttentionMode mode, AttentionOptions options) {
    if (mode == AttentionMode::kDense || mode == AttentionMode::kExact) return exact_;
    auto& made = looser_[static_cast<size_t>(mode)];
    if (made) return *made;
    options.mode = mode;
    made = mode == AttentionMode::kResa ? make_resa_mode(options, &period_) : make_mode(options);
    return *made;
  }

  const Calibration calibration_;
  DecodeMode* chosen_ = nullptr;
  bool is_decided_ = false;   // chosen_ has not run since it was chosen
  bool is_cleaning_ = false;  // before chosen_ runs
  ExactMode exact_;
  std::array<std::unique_ptr<DecodeMode>, 4> looser_;  // by AttentionMode, made when first chosen
  size_t period_ = 1;
  bool reported_ = false;
  AttentionMode verdict_ = AttentionMode::kDense;
  size_t next_report_ = 0;
};

}  // namespace

std::unique_ptr<DecodeMode> make_auto_mode(const Calibration& calibration) {
  return std::make_unique<AutoMode>(calibration);
}

}  // namespace longhaul
