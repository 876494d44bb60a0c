#include "engine/cost_model.h"

#include <gtest/gtest.h>

namespace longhaul {
namespace {

// Round numbers in the proportions of a small model on two cores. Of n rows, from 8 on: 20 + n ms
// and 100 n ns.
Calibration sample() {
  Calibration c;
  c.pass_ms = {20, 22, 28, 52};
  c.attention_ns = {400, 500, 800, 3200};
  c.sparse_ns = 400;
  c.select_ns = 100;
  return c;
}

class CostModelTest : public testing::Test {
 protected:
  CostModel model() { return {calibration_, options_, *find_selector("minmax"), 16}; }

  Calibration calibration_ = sample();
  AttentionOptions options_;
  std::array<ModeCost, 4> costs_;
};

TEST_F(CostModelTest, AddsWhatAPassReads) {
  EXPECT_DOUBLE_EQ(model().dense(100000).ms_per_token, 20 + 40);
  // 6250 blocks: 625 are read, all are scored.
  EXPECT_DOUBLE_EQ(model().sparse(100000).ms_per_token, 20 + 4 + 0.625);
}

TEST_F(CostModelTest, RectificationIsSharedByItsPeriod) {
  const ModeCost resa = model().resa(100000);
  const double n = static_cast<double>(resa.every);
  EXPECT_NEAR(resa.ms_per_token, 24.625 + (20 + n * (1 + 10)) / n, 1e-9);
  // The shortest period that costs at most a twentieth more than the longest.
  const double longest = 24.625 + 20.0 / 32 + 11;
  EXPECT_LE(resa.ms_per_token, 1.05 * longest);
  EXPECT_GT(24.625 + 20 / (n - 1) + 11, 1.05 * longest);
}

TEST_F(CostModelTest, BetweenMeasuredRowsCostsGoStraight) {
  options_.rectify_every = 2;  // halfway between 1 and 3: 21 ms and 450 ns
  EXPECT_NEAR(model().resa(100000).ms_per_token, 24.625 + (21.0 + 45) / 2, 1e-9);
}

TEST_F(CostModelTest, ExpectedTokensOfADraft) {
  EXPECT_DOUBLE_EQ(expected_tokens(0, 5), 1);
  EXPECT_DOUBLE_EQ(expected_tokens(1, 5), 6);
  EXPECT_DOUBLE_EQ(expected_tokens(0.5, 2), 1.75);
}

TEST_F(CostModelTest, TheDraftIsTheCheapest) {
  calibration_.pass_ms = {21, 23, 28, 52};  // 20 + n
  calibration_.attention_ns = {1000, 1000, 1000, 1000};
  const double acceptance = 0.8;
  const ModeCost exact = model().exact(100000, acceptance);
  const double step = 21 + 4 + 0.625;
  const auto cost = [&](size_t n) {
    const double chunk = 20 + static_cast<double>(n + 1) + 100;
    return (static_cast<double>(n) * step + chunk) / expected_tokens(acceptance, n);
  };
  EXPECT_NEAR(exact.ms_per_token, cost(exact.every), 1e-9);
  for (size_t n = 1; n <= options_.rectify_every; ++n)
    EXPECT_GE(cost(n), exact.ms_per_token - 1e-9);
  EXPECT_GT(model().exact(100000, 0.99).every, exact.every);
}

TEST_F(CostModelTest, DefaultQualityIsThatOfDense) {
  EXPECT_EQ(model().choose(1000, 1.0, costs_), AttentionMode::kDense);
  EXPECT_EQ(model().choose(1 << 20, 0.95, costs_), AttentionMode::kExact);
  EXPECT_EQ(model().choose(1 << 20, 0.0, costs_), AttentionMode::kDense);  // nothing is accepted
}

TEST_F(CostModelTest, LooserQualityIsTakenOnlyWhereAllowed) {
  options_.auto_may = AttentionMode::kResa;
  EXPECT_EQ(model().choose(1 << 20, 0.5, costs_), AttentionMode::kResa);
  options_.auto_may = AttentionMode::kSparse;
  EXPECT_EQ(model().choose(1 << 20, 0.5, costs_), AttentionMode::kSparse);
}

TEST_F(CostModelTest, BelowTheBudgetItIsDense) {
  options_.auto_may = AttentionMode::kSparse;
  calibration_.attention_ns.front() = 1e9;
  EXPECT_TRUE(model().selects_everything(256));
  EXPECT_EQ(model().choose(256, 1.0, costs_), AttentionMode::kDense);
  EXPECT_EQ(model().crossover(1.0), 272U);  // 17 blocks of 16
}

TEST_F(CostModelTest, TheCrossoverIsWhereDenseEnds) {
  const size_t crossover = model().crossover(0.95);
  ASSERT_GT(crossover, 0U);
  EXPECT_EQ(crossover % 16, 0U);
  EXPECT_NE(model().choose(crossover, 0.95, costs_), AttentionMode::kDense);
  EXPECT_EQ(model().choose(crossover - 16, 0.95, costs_), AttentionMode::kDense);
  EXPECT_EQ(model().crossover(0.0), 0U);  // nothing is accepted
}

}  // namespace
}  // namespace longhaul
