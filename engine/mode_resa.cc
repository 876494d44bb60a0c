// ReSA (arXiv 2506.04108): sparse steps, and every rectify_every tokens one dense pass over the
// tokens decoded since the last one, which computes their K and V again. Counted from the last
// rectified token, so that truncation cannot break the rhythm. --rectify wide and adaptive read
// fewer blocks in that pass.
#include <algorithm>

#include "engine/run.h"

namespace longhaul {
namespace {

AttentionOptions wide(AttentionOptions options) {
  options.sparse_ratio = options.rectify_ratio;
  options.token_budget = 0;
  options.gate_threshold = 0;
  return options;
}

class ResaMode : public DecodeMode {
 public:
  ResaMode(const AttentionOptions& options, const size_t* period)
      : wide_(wide(options)), is_dense_(options.rectify == RectifyKind::kDense), period_(period) {}

  // A new prompt stands on rectified tokens; without one the rhythm goes on.
  size_t clean_from(const Text& text, bool continues) const override {
    return continues ? text.n_cached() : is_dense_ ? text.n_clean() : text.n_rectified();
  }

  bool owes(const Run& run) const override {
    const Text& text = run.text();
    const size_t period = period_ != nullptr ? *period_ : run.options().rectify_every;
    return is_rectifying_ || text.n_cached() - text.n_rectified() >= period;
  }

  Planned plan(Run& run) override {
    Text& text = run.text();
    if (owes(run)) return rectification(run);
    if (text.n_rectified() < text.n_cached()) return run.sparse_step();
    // While the budget covers every block, a step is dense and leaves nothing to rectify.
    if (run.selects_everything()) return run.dense_step();
    if (!text.sparse_is_clean()) text.mark();
    return run.sparse_step();
  }

  Status take(Run& run, const Step& step, MatrixView<const float> logits) override {
    if (!is_rectifying_) return run.append({logits.row(0), logits.n_cols});
    AttentionStats& stats = run.stats();
    // A pass over one token counts as a step.
    stats.rectified_blocks_read += step.stats.rectified_blocks_read + step.stats.blocks_read;
    stats.rectified_blocks_total += step.stats.rectified_blocks_total + step.stats.blocks_total;
    is_rectifying_ = run.text().n_cached() + 1 < run.text().size();
    if (!is_rectifying_) ++stats.rectifications;
    return {};
  }

 private:
  Planned rectification(Run& run) {
    Text& text = run.text();
    if (!is_rectifying_) text.rewind(is_dense_ ? text.n_clean() : text.n_rectified());
    is_rectifying_ = true;
    Planned planned = run.catch_up();
    if (is_dense_) return planned;
    // The rows of a pass choose together, so that where it is cut must not depend on other texts.
    planned.step.tokens =
        planned.step.tokens.first(std::min(planned.step.tokens.size(), run.max_rows()));
    planned.step.selector = &run.selector();
    planned.step.attention = &wide_;
    if (run.options().rectify == RectifyKind::kAdaptive) {
      planned.step.tolerance = run.options().rectify_tolerance;
    }
    return planned;
  }

  const AttentionOptions wide_;  // the options with the budget of a partial rectification
  const bool is_dense_;
  const size_t* period_;
  bool is_rectifying_ = false;
};

}  // namespace

std::unique_ptr<DecodeMode> make_resa_mode(const AttentionOptions& options, const size_t* period) {
  return std::make_unique<ResaMode>(options, period);
}

}  // namespace longhaul
