#include "engine/calibrate.h"

#include <algorithm>

#include "cache/memory_plan.h"
#include "engine/memory_check.h"
#include "engine/random_fill.h"

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
  Calibrator(Model& model, KvSequence& sequence)
      : model_(model),
        sequence_(sequence),
        depth_(sequence.n_tokens()),
        logits_(kMostRows * model.config().vocab_size),
        tokens_(kMostRows, 0) {}

  // The fastest of a few passes over n_rows tokens at the end; the cache is as before.
  Result<PassTimes> time_pass(size_t n_rows, const Selector* selector) {
    const AttentionOptions attention;
    Step step;
    step.sequence = &sequence_;
    step.tokens = std::span<const int32_t>(tokens_).first(n_rows);
    step.first_pos = depth_;
    step.n_logits = n_rows;
    step.selector = selector;
    step.attention = &attention;
    PassTimes best;
    for (int run = 0; run <= kRuns; ++run) {
      PassTimes times;
      const MatrixView<float> logits(logits_.data(), n_rows, model_.config().vocab_size);
      LH_RETURN_IF_ERROR(model_.run(step, logits, &times));
      sequence_.truncate(depth_);
      if (run == 1 || (run > 1 && times.total_s() < best.total_s())) best = times;
    }
    return best;
  }

 private:
  Model& model_;
  KvSequence& sequence_;
  size_t depth_;
  AlignedBuffer<float> logits_;
  std::vector<int32_t> tokens_;
};

double fixed_ms(const PassTimes& times) { return (times.weights_s + times.rest_s) * 1e3; }

}  // namespace

Result<Calibration> calibrate(Model& model, ThreadPool& pool, const EngineOptions& options,
                              const Gates* gates, size_t gate_dim) {
  EngineOptions own = options;
  own.max_sessions = 1;
  const size_t token_bytes =
      std::max<size_t>(1, bytes_per_token(cache_config_for(model.config(), own, gate_dim)).total());
  const size_t depth = std::clamp(kLeastBytes / token_bytes, kShortest, kLongest);
  own.ctx_size = depth + kMostRows;
  LH_ASSIGN_OR_RETURN(const auto cache,
                      KvCache::create(cache_config_for(model.config(), own, gate_dim), gates));
  KvSequence sequence = cache->new_sequence();
  LH_RETURN_IF_ERROR(fill_random(sequence, model.config(), pool, depth, 1));

  Calibrator calibrator(model, sequence);
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
  const Selector* selector = find_selector(gates != nullptr ? "gate" : "minmax");
  LH_ASSIGN_OR_RETURN(const PassTimes sparse, calibrator.time_pass(1, selector));
  result.sparse_ns = sparse.attention_s * 1e9 / sparse.n_attended;
  result.select_ns = sparse.selection_s * 1e9 * static_cast<double>(options.block_size) / context;
  return result;
}

}  // namespace longhaul
