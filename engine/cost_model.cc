#include "engine/cost_model.h"

#include <algorithm>

namespace longhaul {
namespace {

constexpr double kNsPerMs = 1e6;
constexpr size_t kLongest = size_t{1} << 24;
// How much dearer than the cheapest period a shorter one of `resa` may be.
constexpr double kPeriodSlack = 1.05;

// The cost of a pass over n_rows tokens, on the straight line between the two row counts measured
// around it.
double at_rows(const CostByRows& costs, size_t n_rows) {
  size_t i = 1;
  while (i + 1 < kCalibratedRows.size() && kCalibratedRows[i] < n_rows) ++i;
  const auto low = static_cast<double>(kCalibratedRows[i - 1]);
  const auto high = static_cast<double>(kCalibratedRows[i]);
  const double share = (static_cast<double>(n_rows) - low) / (high - low);
  return costs[i - 1] + share * (costs[i] - costs[i - 1]);
}

}  // namespace

double expected_tokens(double acceptance, size_t n_drafted) {
  double expected = 1.0, power = 1.0;
  for (size_t i = 0; i < n_drafted; ++i) expected += power *= acceptance;
  return expected;
}

bool CostModel::selects_everything(size_t n_tokens) const {
  const size_t n = n_blocks(n_tokens);
  return n_selected_blocks(options_, selector_, n, block_size_) == n;
}

double CostModel::sparse_step_ms(size_t n_tokens) const {
  const size_t n = n_blocks(n_tokens);
  const size_t n_read = n_selected_blocks(options_, selector_, n, block_size_) * block_size_;
  return calibration_.pass_ms.front() + (static_cast<double>(n_read) * calibration_.sparse_ns +
                                         static_cast<double>(n) * calibration_.select_ns) /
                                            kNsPerMs;
}

double CostModel::dense_pass_ms(size_t n_rows, size_t n_tokens) const {
  return at_rows(calibration_.pass_ms, n_rows) +
         at_rows(calibration_.attention_ns, n_rows) * static_cast<double>(n_tokens) / kNsPerMs;
}

ModeCost CostModel::dense(size_t n_tokens) const {
  return {AttentionMode::kDense, dense_pass_ms(1, n_tokens), 0};
}

ModeCost CostModel::sparse(size_t n_tokens) const {
  return {AttentionMode::kSparse, sparse_step_ms(n_tokens), 0};
}

ModeCost CostModel::resa(size_t n_tokens) const {
  const double step = sparse_step_ms(n_tokens);
  const auto cost = [&](size_t every) {
    return step + dense_pass_ms(every, n_tokens) / static_cast<double>(every);
  };
  const double cheapest = cost(options_.rectify_every);
  size_t every = 1;
  while (every < options_.rectify_every && cost(every) > kPeriodSlack * cheapest) ++every;
  return {AttentionMode::kResa, cost(every), every};
}

// Rounds of drafts that cost draft_ms each.
ModeCost CostModel::drafted(size_t n_tokens, double draft_ms, double acceptance,
                            size_t longest) const {
  ModeCost best{AttentionMode::kExact, 0, 0};
  double tokens = 1.0, power = 1.0;  // as expected_tokens(), draft by draft
  for (size_t n = 1; n <= longest; ++n) {
    tokens += power *= acceptance;
    const double ms = (static_cast<double>(n) * draft_ms + dense_pass_ms(n + 1, n_tokens)) / tokens;
    if (best.every == 0 || ms < best.ms_per_token) best = {AttentionMode::kExact, ms, n};
  }
  return best;
}

ModeCost CostModel::exact(size_t n_tokens, double acceptance) const {
  return drafted(n_tokens, sparse_step_ms(n_tokens), acceptance, options_.rectify_every);
}

ModeCost CostModel::copied(size_t n_tokens, double acceptance, size_t longest) const {
  return drafted(n_tokens, 0, acceptance, longest);
}

AttentionMode CostModel::choose(size_t n_tokens, double acceptance,
                                std::array<ModeCost, 4>& costs) const {
  costs = {dense(n_tokens), sparse(n_tokens), resa(n_tokens), exact(n_tokens, acceptance)};
  const AttentionMode may = options_.auto_may;
  const auto allowed = [&](AttentionMode mode) {
    if (mode == AttentionMode::kSparse) return may == AttentionMode::kSparse;
    if (mode == AttentionMode::kResa) return may != AttentionMode::kDense;
    return true;
  };
  if (selects_everything(n_tokens)) return AttentionMode::kDense;
  ModeCost best = costs.front();
  for (const ModeCost& cost : costs) {
    if (allowed(cost.mode) && cost.ms_per_token < best.ms_per_token) best = cost;
  }
  return best.mode;
}

size_t CostModel::crossover(double acceptance) const {
  std::array<ModeCost, 4> costs;
  const auto leaves_dense = [&](size_t blocks) {
    return choose(blocks * block_size_, acceptance, costs) != AttentionMode::kDense;
  };
  size_t high = 1;
  while (!leaves_dense(high)) {
    high *= 2;
    if (high * block_size_ > kLongest) return 0;
  }
  size_t low = high / 2;  // dense, or 0
  while (high - low > 1) {
    const size_t middle = low + (high - low) / 2;
    (leaves_dense(middle) ? high : low) = middle;
  }
  return high * block_size_;
}

}  // namespace longhaul
