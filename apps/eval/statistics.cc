#include "apps/eval/statistics.h"

#include <algorithm>
#include <cmath>

namespace longhaul::eval {
namespace {

constexpr double kZ = 1.959963984540054;  // of the normal distribution, two-sided 95%

// Student's quantile for the same, by the expansion in 1 / degrees of freedom (R. A. Fisher and
// E. A. Cornish, 1960): within 1% from 3 degrees on.
double student(double degrees) {
  const double z3 = kZ * kZ * kZ, z5 = z3 * kZ * kZ, z7 = z5 * kZ * kZ;
  return kZ + (z3 + kZ) / (4 * degrees) + (5 * z5 + 16 * z3 + 3 * kZ) / (96 * degrees * degrees) +
         (3 * z7 + 19 * z5 + 17 * z3 - 15 * kZ) / (384 * degrees * degrees * degrees);
}

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
  const auto count = static_cast<double>(n);
  const double share = static_cast<double>(n_right) / count;
  const double scale = 1 + kZ * kZ / count;
  const double center = (share + kZ * kZ / (2 * count)) / scale;
  const double half =
      kZ / scale * std::sqrt(share * (1 - share) / count + kZ * kZ / (4 * count * count));
  return {std::max(0.0, center - half), std::min(1.0, center + half)};
}

Interval paired_difference(size_t n_lost, size_t n_won, size_t n) {
  if (n == 0) return {-1, 1};
  const double lost = static_cast<double>(n_lost) + 0.5;
  const double won = static_cast<double>(n_won) + 0.5;
  const double count = static_cast<double>(n) + 2;
  const double difference = (won - lost) / count;
  const double half = kZ * std::sqrt((lost + won) - (won - lost) * (won - lost) / count) / count;
  return {std::max(-1.0, difference - half), std::min(1.0, difference + half)};
}

Interval mean_interval(std::span<const double> values) {
  const double center = mean(values);
  if (values.size() < 4) return {center, center};
  double squares = 0;
  for (const double value : values) squares += (value - center) * (value - center);
  const auto n = static_cast<double>(values.size());
  const double half = student(n - 1) * std::sqrt(squares / (n - 1) / n);
  return {center - half, center + half};
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
