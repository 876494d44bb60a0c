#include "apps/eval/statistics.h"

#include <algorithm>
#include <cmath>

namespace longhaul::eval {
namespace {

// log of the sum of exp(logits), and where the largest is.
struct LogSum {
  double value = 0;
  size_t top = 0;
};

LogSum log_sum_exp(std::span<const float> logits) {
  LogSum result;
  result.top = static_cast<size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  const auto highest = static_cast<double>(logits[result.top]);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - highest);
  result.value = highest + std::log(sum);
  return result;
}

}  // namespace

Interval wilson(size_t n_right, size_t n) {
  if (n == 0) return {};
  constexpr double kZ = 1.959963984540054;  // two-sided 95%
  const auto count = static_cast<double>(n);
  const double share = static_cast<double>(n_right) / count;
  const double scale = 1 + kZ * kZ / count;
  const double center = (share + kZ * kZ / (2 * count)) / scale;
  const double half =
      kZ / scale * std::sqrt(share * (1 - share) / count + kZ * kZ / (4 * count * count));
  return {std::max(0.0, center - half), std::min(1.0, center + half)};
}

double quantile(std::vector<double> values, double p) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const double at = p * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (at - static_cast<double>(below)) * (values[above] - values[below]);
}

double mean(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

LogitsCompared compare_logits(std::span<const float> reference, std::span<const float> tested,
                              size_t next_token) {
  const LogSum p = log_sum_exp(reference);
  const LogSum q = log_sum_exp(tested);
  LogitsCompared result;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double log_p = static_cast<double>(reference[i]) - p.value;
    const double log_q = static_cast<double>(tested[i]) - q.value;
    result.kl += std::exp(log_p) * (log_p - log_q);
  }
  result.kl = std::max(0.0, result.kl);  // rounding alone can make it negative
  result.nll = q.value - static_cast<double>(tested[next_token]);
  result.same_top = p.top == q.top;
  return result;
}

}  // namespace longhaul::eval
