#include "sampling/steps.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"
#include "sampling/logprobs.h"

namespace longhaul {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
using Row = std::vector<float>;

TEST(Random, SplitMix64GivesThePublishedNumbers) {
  uint64_t state = 1234567;
  EXPECT_EQ(split_mix64(state), 6457827717110365317U);
  EXPECT_EQ(split_mix64(state), 3203168211198807973U);
  EXPECT_EQ(split_mix64(state), 9817491932198370423U);
}

TEST(Random, APositionHasItsOwnNumbers) {
  PositionRandom first(1, 5), again(1, 5), position(1, 6), seed(2, 5);
  const double u = first.next();
  EXPECT_EQ(u, again.next());
  EXPECT_NE(u, position.next());
  EXPECT_NE(u, seed.next());
  EXPECT_NE(u, first.next());
}

// Along one position as along the first numbers of many.
TEST(Random, NumbersAreAboveZeroAndHaveTheRightMean) {
  PositionRandom along(7, 0);
  double sums[2] = {};
  for (uint64_t i = 0; i < 100000; ++i) {
    const double numbers[2] = {along.next(), PositionRandom(7, i).next()};
    for (size_t k = 0; k < 2; ++k) {
      ASSERT_GT(numbers[k], 0.0);
      ASSERT_LE(numbers[k], 1.0);
      sums[k] += numbers[k];
    }
  }
  for (const double sum : sums) EXPECT_NEAR(sum / 100000, 0.5, 0.005);
}

TEST(PenaltyWindow, OldTokensLeaveAndComeBackWithARollback) {
  PenaltyWindow window(3);
  for (const int32_t token : {5, 5, 6, 7}) window.push(token);
  EXPECT_EQ(window.counts().at(5), 1U);  // the first 5 has left
  window.push(8);
  EXPECT_EQ(window.counts().count(5), 0U);
  window.pop(2);
  EXPECT_EQ(window.counts().at(5), 2U);
  EXPECT_EQ(window.counts().at(6), 1U);
  EXPECT_EQ(window.counts().size(), 2U);
  window.pop(3);
  EXPECT_TRUE(window.counts().empty());
}

TEST(PenaltyWindow, EmptyWindowCountsNothing) {
  PenaltyWindow window(0);
  window.push(1);
  EXPECT_TRUE(window.counts().empty());
  window.pop(1);
}

TEST(Steps, CleanLogitsMakesNanMinusInfinity) {
  Row x = {kNan, 1.0F, kInf, -kInf};
  clean_logits(x);
  EXPECT_EQ(x, (Row{-kInf, 1.0F, std::numeric_limits<float>::max(), -kInf}));
}

TEST(Steps, PenaltiesActOnTheTokensOfTheWindowOnly) {
  PenaltyWindow window(8);
  for (const int32_t token : {0, 0, 1}) window.push(token);
  Row x = {4.0F, -4.0F, 4.0F};
  apply_penalties(x, window, {.repetition = 2.0F, .presence = 0.5F, .frequency = 0.25F});
  EXPECT_EQ(x, (Row{2.0F - 0.5F - 0.5F, -8.0F - 0.5F - 0.25F, 4.0F}));
}

TEST(Steps, BiasesOfOneTokenAddUp) {
  Row x = {1.0F, 2.0F};
  const std::vector<std::pair<int32_t, float>> bias = {{1, 0.5F}, {1, 0.25F}, {0, -kInf}};
  apply_bias(x, bias);
  EXPECT_EQ(x, (Row{-kInf, 2.75F}));
}

TEST(Steps, TemperatureDividesTheDistanceToTheLargest) {
  Row x = {3.0F, 1.0F, -kInf};
  apply_temperature(x, 0.5F);
  EXPECT_EQ(x, (Row{0.0F, -4.0F, -kInf}));
  Row tiny = {3.0F, 1.0F};
  apply_temperature(tiny, 1e-38F);
  softmax(tiny);
  EXPECT_EQ(tiny, (Row{1.0F, 0.0F}));
}

TEST(Steps, TopKKeepsTheLowerIndexOfEquals) {
  std::vector<uint32_t> scratch;
  Row x = {1.0F, 2.0F, 2.0F, 3.0F, 2.0F};
  keep_top_k(x, 2, scratch);
  EXPECT_EQ(x, (Row{-kInf, 2.0F, -kInf, 3.0F, -kInf}));
  Row all = {1.0F, 2.0F};
  keep_top_k(all, 0, scratch);
  keep_top_k(all, 2, scratch);
  keep_top_k(all, 9, scratch);
  EXPECT_EQ(all, (Row{1.0F, 2.0F}));
}

TEST(Steps, SoftmaxSumsToOneAndGivesRemovedTokensNothing) {
  Row x = {std::log(1.0F), std::log(3.0F), -kInf};
  softmax(x);
  EXPECT_FLOAT_EQ(x[0], 0.25F);
  EXPECT_FLOAT_EQ(x[1], 0.75F);
  EXPECT_EQ(x[2], 0.0F);
  Row none = {-kInf, -kInf};
  softmax(none);
  EXPECT_EQ(none, (Row{1.0F, 0.0F}));
}

TEST(Steps, TopPKeepsTheSmallestSetThatReachesTheMass) {
  std::vector<uint32_t> scratch;
  Row x = {0.125F, 0.5F, 0.25F, 0.125F};
  keep_top_p(x, 0.75F, scratch);
  EXPECT_EQ(x, (Row{0.0F, 0.5F / 0.75F, 0.25F / 0.75F, 0.0F}));
  Row one_more = {0.125F, 0.5F, 0.25F, 0.125F};
  keep_top_p(one_more, 0.76F, scratch);
  EXPECT_GT(one_more[0], 0.0F);  // the lower index of the two equals
  EXPECT_EQ(one_more[3], 0.0F);
  Row zero = {0.25F, 0.75F};
  keep_top_p(zero, 0.0F, scratch);
  EXPECT_EQ(zero, (Row{0.0F, 1.0F}));
}

TEST(Steps, TopPOfAFlatRowGoesBeyondTheFirstSortedPiece) {
  std::vector<uint32_t> scratch;
  Row x(1024, 1.0F / 1024.0F);
  keep_top_p(x, 0.5F, scratch);
  for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(x[i], i < 512 ? 1.0F / 512.0F : 0.0F) << i;
}

TEST(Steps, MinPIsRelativeToTheLargest) {
  Row x = {0.5F, 0.25F, 0.1875F, 0.0625F};
  keep_min_p(x, 0.5F);
  EXPECT_EQ(x, (Row{0.5F / 0.75F, 0.25F / 0.75F, 0.0F, 0.0F}));
}

TEST(Steps, ArgmaxTakesTheLowerIndexAndNeverNan) {
  EXPECT_EQ(argmax_token(Row{kNan, 1.0F, 2.0F, 2.0F}), 2U);
  EXPECT_EQ(argmax_token(Row{kNan, -kInf}), 0U);
}

TEST(Logprobs, AreTheLogarithmsOfTheSoftmax) {
  const Row x = {std::log(0.5F), std::log(0.125F), std::log(0.25F), std::log(0.125F)};
  const Logprobs logprobs(x);
  EXPECT_NEAR(logprobs.of(0), std::log(0.5F), 1e-6F);
  EXPECT_NEAR(logprobs.of(2), std::log(0.25F), 1e-6F);
  EXPECT_EQ(logprobs.top(3), (std::vector<int32_t>{0, 2, 1}));  // the lower index of the two equals
  EXPECT_EQ(logprobs.top(9).size(), 4U);
}

TEST(Logprobs, AreFiniteWhateverTheLogits) {
  const Row x = {kNan, kInf, -kInf, 0.0F};
  const Logprobs logprobs(x);
  EXPECT_EQ(logprobs.of(1), 0.0F);
  for (int32_t token = 0; token < 4; ++token) EXPECT_TRUE(std::isfinite(logprobs.of(token)));
  EXPECT_EQ(logprobs.top(1), std::vector<int32_t>{1});
}

}  // namespace
}  // namespace longhaul
