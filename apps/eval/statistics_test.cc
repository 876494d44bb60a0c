#include "apps/eval/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace longhaul::eval {
namespace {

// Values of the formula as R's prop.test(x, n, correct = FALSE) gives them.
TEST(Wilson, KnownValues) {
  const Interval half = wilson(5, 10);
  EXPECT_NEAR(half.low, 0.2366, 1e-4);
  EXPECT_NEAR(half.high, 0.7634, 1e-4);
  const Interval none = wilson(0, 10);
  EXPECT_DOUBLE_EQ(none.low, 0);
  EXPECT_NEAR(none.high, 0.2775, 1e-4);
  const Interval most = wilson(95, 100);
  EXPECT_NEAR(most.low, 0.8882, 1e-4);
  EXPECT_NEAR(most.high, 0.9785, 1e-4);
  EXPECT_DOUBLE_EQ(wilson(10, 10).high, 1);
  EXPECT_DOUBLE_EQ(wilson(0, 0).low, 0);
  EXPECT_DOUBLE_EQ(wilson(0, 0).high, 1);
}

TEST(Quantile, InterpolatesBetweenNeighbours) {
  EXPECT_DOUBLE_EQ(quantile({4, 1, 3, 2}, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(quantile({4, 1, 3, 2}, 1), 4);
  EXPECT_DOUBLE_EQ(quantile({4, 1, 3, 2}, 0), 1);
  EXPECT_DOUBLE_EQ(quantile({}, 0.5), 0);
}

// Softmax, then the sum of the definition: fine for small logits.
double naive_kl(const std::vector<float>& p_logits, const std::vector<float>& q_logits) {
  const auto softmax = [](const std::vector<float>& logits) {
    std::vector<double> values;
    double sum = 0;
    for (const float logit : logits) sum += std::exp(double{logit});
    for (const float logit : logits) values.push_back(std::exp(double{logit}) / sum);
    return values;
  };
  const auto p = softmax(p_logits);
  const auto q = softmax(q_logits);
  double kl = 0;
  for (size_t i = 0; i < p.size(); ++i) kl += p[i] * std::log(p[i] / q[i]);
  return kl;
}

TEST(CompareLogits, AgreesWithTheDefinition) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 3);
  for (int trial = 0; trial < 20; ++trial) {
    std::vector<float> p(300), q(300);
    for (float& value : p) value = normal(random);
    for (float& value : q) value = normal(random);
    const LogitsCompared result = compare_logits(p, q, 7);
    EXPECT_NEAR(result.kl, naive_kl(p, q), 1e-9);
    double sum = 0;
    for (const float value : q) sum += std::exp(double{value});
    EXPECT_NEAR(result.nll, std::log(sum) - double{q[7]}, 1e-9);
  }
}

TEST(CompareLogits, SurvivesLargeLogitsAndFindsTheTop) {
  const std::vector<float> p = {1000, 999, -1000};
  const std::vector<float> q = {999, 1000, -1000};
  const LogitsCompared same = compare_logits(p, p, 0);
  EXPECT_EQ(same.kl, 0);
  EXPECT_TRUE(same.same_top);
  const LogitsCompared other = compare_logits(p, q, 0);
  EXPECT_NEAR(other.kl, std::tanh(0.5), 1e-9);  // (p0 - p1) * 1 nat
  EXPECT_FALSE(other.same_top);
}

TEST(PairedDifference, AgainstWorkedValues) {
  // n = 100, 10 lost, 4 won: (4.5 - 10.5) / 102, half 1.96 sqrt(15 - 36 / 102) / 102.
  const Interval some = paired_difference(10, 4, 100);
  EXPECT_NEAR((some.low + some.high) / 2, -0.058824, 1e-6);
  EXPECT_NEAR((some.high - some.low) / 2, 0.073540, 1e-6);
  const Interval none = paired_difference(0, 0, 20);  // alike says little of few items
  EXPECT_NEAR(none.low, -0.089089, 1e-6);
  EXPECT_NEAR(none.high, 0.089089, 1e-6);
  EXPECT_LT(paired_difference(12, 0, 20).high, 0);
  EXPECT_EQ(paired_difference(0, 0, 0).low, -1);
}

TEST(MeanInterval, IsStudents) {
  // Tabled quantiles: 3.182 for 3 degrees of freedom, 2.262 for 9.
  const std::vector<double> four = {1, 2, 3, 4};  // deviation 1.290994
  EXPECT_NEAR(mean_interval(four).high - 2.5, 3.182 * 1.290994 / 2, 0.03);
  const std::vector<double> ten = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};  // deviation 3.027650
  EXPECT_NEAR(5.5 - mean_interval(ten).low, 2.262 * 3.027650 / std::sqrt(10.0), 0.003);
  const std::vector<double> two = {1, 3};
  EXPECT_EQ(mean_interval(two).low, mean_interval(two).high);
}

}  // namespace
}  // namespace longhaul::eval
