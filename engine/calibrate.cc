#include "engine/calibrate.h"

#include <algorithm>

#include "engine/memory_check.h"
#include "engine/random_fill.h"
#include "state/memory_plan.h"

namespace longhaul {
namespace {

// Keys and values enough that no cache of the processor holds them, within sensible lengths.
constexpr size_t kLeastBytes = size_t{96} << 20;
constexpr size_t kShortest = 2048;
constexpr size_t kLongest = 16384;
constexpr int kRuns = 3;  // of each kind, after one that warms up
constexpr size_t kMostRows = kCalibratedRows.back();

class Calibrator {
 public:
  Calibrator(Model& model, SequenceState& state)
      : model_(model),
        state_(state),
        depth_(state.n_tokens()),
        logits_(kMostRows * model.plan().vocab_size),
        tokens_(kMostRows, 0) {}

  // The fastest of a few passes over n_rows tokens at the end; the cache is as before.
  Result<PassTimes> time_pass(size_t n_rows, const Selector* selector) {
    const AttentionOptions attention;
    Step step;
    step.state = &state_;
    step.tokens = std::span<const int32_t>(tokens_).first(n_rows);
    step.first_pos = depth_;
    step.n_logits = n_rows;
    step.selector = selector;
    step.attention = &attention;
    PassTimes best;
    for (int run = 0; run <= kRuns; ++run) {
      PassTimes times;
      const MatrixView<float> logits(logits_.data(), n_rows, model_.plan().vocab_size);
      LH_RETURN_IF_ERROR(model_.run(step, logits, &times));
      state_.rewind(depth_);
      if (run == 1 || (run > 1 && times.total_s() < best.total_s())) best = times;
    }
    return best;
  }

 private:
  Model& model_;
  SequenceState& state_;
  size_t depth_;
  AlignedBuffer<float> logits_;
  std::vector<int32_t> tokens_;
};

// The one that most requests will name.
const Selector& calibrated_selector(std::span<const SummarySpec> summaries) {
  for (const char* name : {"gate", "outlier", "minmax"}) {
    const Selector& selector = *find_selector(name);
    for (const SummarySpec& summary : summaries) {
      if (summary.name == selector.summary) return selector;
    }
  }
  return *find_selector("window");
}

double fixed_ms(const PassTimes& times) { return (times.weights_s + times.rest_s) * 1e3; }

}  // namespace

Result<Calibration> calibrate(Model& model, const EngineOptions& options,
                              std::vector<SummarySpec> summaries) {
  EngineOptions own = options;
  own.max_sessions = 1;
  const size_t token_bytes =
      std::max<size_t>(1, bytes_per_token(slots_for(model.plan(), own, summaries)).total());
  const size_t depth = std::clamp(kLeastBytes / token_bytes, kShortest, kLongest);
  own.ctx_size = depth + kMostRows;
  const Selector& selector = calibrated_selector(summaries);
  LH_ASSIGN_OR_RETURN(const auto states,
                      StatePool::create(slots_for(model.plan(), own, std::move(summaries)),
                                        model.backend().device_memory()));
  SequenceState state = states->new_sequence();
  LH_RETURN_IF_ERROR(fill_random(state, model.backend(), depth, 1));

  Calibrator calibrator(model, state);
  const auto context = static_cast<double>(depth);
  Calibration result;
  for (size_t i = 0; i < kCalibratedRows.size(); ++i) {
    const size_t n_rows = std::min(kCalibratedRows[i], model.max_rows());
    LH_ASSIGN_OR_RETURN(const PassTimes times, calibrator.time_pass(n_rows, nullptr));
    // A model that takes fewer rows at once makes several passes of what it can.
    const double n_passes = static_cast<double>(kCalibratedRows[i]) / static_cast<double>(n_rows);
    result.pass_ms[i] = n_passes * fixed_ms(times);
    result.attention_ns[i] = n_passes * times.attention_s * 1e9 / context;
  }
  LH_ASSIGN_OR_RETURN(const PassTimes sparse, calibrator.time_pass(1, &selector));
  result.sparse_ns = sparse.attention_s * 1e9 / sparse.n_attended;
  result.select_ns = sparse.selection_s * 1e9 * static_cast<double>(options.block_size) / context;
  return result;
}

}  // namespace longhaul
