// auto: whichever of `dense` and `exact` is measured faster at the present length. Both say the
// same, so the choice may follow the clock: below the crossover it is dense. Greedy text never
// depends on the choice; sampled text keeps its distribution, but which sample a seed gives may
// differ from run to run.
#include <chrono>

#include "engine/decode.h"

namespace longhaul {
namespace {

// Tokens between two looks at the way not taken; doubled while the verdict stands.
constexpr size_t kFirstInterval = 128;
constexpr size_t kLastInterval = 4096;
// Rounds of the way not taken per look; the first warms caches and is not counted.
constexpr int kProbes = 3;

class AutoMode : public DecodeMode {
 public:
  Status step(DecodeContext& context) override {
    if (context.selects_everything()) {
      context.stats.mode = AttentionMode::kDense;
      context.stats.reason = "dense: the sparse budget covers every block";
      return dense_->step(context);
    }
    const size_t n_tokens = context.state.tokens.size();
    if (n_tokens >= next_look_) {
      LH_RETURN_IF_ERROR(look(context));
      return {};
    }
    double ignored = 0;
    return timed_step(context, exact_is_faster_, ignored);
  }

 private:
  Status timed_step(DecodeContext& context, bool exact, double& ms_per_token) {
    const size_t before = context.state.tokens.size();
    const auto start = std::chrono::steady_clock::now();
    LH_RETURN_IF_ERROR((exact ? exact_way_ : dense_)->step(context));
    const std::chrono::duration<double, std::milli> elapsed =
        std::chrono::steady_clock::now() - start;
    ms_per_token = elapsed.count() / static_cast<double>(context.state.tokens.size() - before);
    context.stats.mode = exact ? AttentionMode::kExact : AttentionMode::kDense;
    return {};
  }

  // Measures a few rounds of both ways and keeps the faster. Every token made here is final as
  // well.
  Status look(DecodeContext& context) {
    double best[2] = {};  // ms per token: dense, exact
    for (int probe = 0; probe < kProbes; ++probe) {
      for (const bool exact : {false, true}) {
        if (context.n_left() == 0 || context.is_end(context.state.tokens.back())) return {};
        double ms = 0;
        LH_RETURN_IF_ERROR(timed_step(context, exact, ms));
        double& known = best[exact ? 1 : 0];
        if (probe > 0) known = known == 0 ? ms : std::min(known, ms);
      }
    }
    const bool verdict = best[1] < best[0];
    interval_ =
        verdict == exact_is_faster_ ? std::min(interval_ * 2, kLastInterval) : kFirstInterval;
    exact_is_faster_ = verdict;
    next_look_ = context.state.tokens.size() + interval_;
    context.stats.reason =
        fmt::format("{}: {:.2f} ms a token dense, {:.2f} exact, measured at {} tokens",
                    verdict ? "exact" : "dense", best[0], best[1], context.state.tokens.size());
    return {};
  }

  std::unique_ptr<DecodeMode> dense_ = make_dense_mode();
  std::unique_ptr<DecodeMode> exact_way_ = make_exact_mode();
  bool exact_is_faster_ = false;
  size_t next_look_ = 0;
  size_t interval_ = kFirstInterval / 2;
};

}  // namespace

std::unique_ptr<DecodeMode> make_auto_mode() { return std::make_unique<AutoMode>(); }

}  // namespace longhaul
