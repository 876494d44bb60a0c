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

}  // namespace
}  // namespace longhaul::eval
