#include "sampling/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

namespace longhaul {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
using Row = std::vector<float>;

Sampler make(const SamplingOptions& options, size_t vocab_size) {
  auto sampler = Sampler::create(options, vocab_size);
  EXPECT_TRUE(sampler.has_value()) << sampler.error().message;
  return std::move(*sampler);
}

// Pearson's statistic of counts against probabilities; cells of probability 0 must stay empty.
double chi_square(const std::vector<size_t>& counts, const Row& probs, size_t n_draws) {
  double sum = 0.0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const double expected = static_cast<double>(probs[i]) * static_cast<double>(n_draws);
    const double found = static_cast<double>(counts[i]);
    if (expected == 0.0) {
      if (counts[i] != 0) return std::numeric_limits<double>::infinity();
      continue;
    }
    sum += (found - expected) * (found - expected) / expected;
  }
  return sum;
}

// The 99.99% point of chi-square with 7 degrees of freedom; fewer degrees lie below it. The seeds
// are fixed, so a right implementation passes always, and a wrong distribution is far above.
constexpr double kChiSquareLimit = 29.9;
constexpr size_t kDraws = 50000;

TEST(Sampler, RefusesImpossibleOptionsByName) {
  const auto message = [](const SamplingOptions& options) -> std::string {
    const auto sampler = Sampler::create(options, 8);
    return sampler ? "accepted" : sampler.error().message;
  };
  EXPECT_EQ(message({}), "accepted");
  EXPECT_NE(message({.temperature = -1.0F}).find("temperature"), std::string::npos);
  EXPECT_NE(message({.temperature = kNan}).find("temperature"), std::string::npos);
  EXPECT_NE(message({.top_p = 1.5F}).find("top_p: expected a number in [0, 1], found 1.5"),
            std::string::npos);
  EXPECT_NE(message({.min_p = kNan}).find("min_p"), std::string::npos);
  EXPECT_NE(message({.repetition_penalty = 0.0F}).find("repetition_penalty"), std::string::npos);
  EXPECT_NE(message({.presence_penalty = kInf}).find("presence_penalty"), std::string::npos);
  EXPECT_NE(message({.frequency_penalty = kNan}).find("frequency_penalty"), std::string::npos);
  EXPECT_NE(message({.logit_bias = {{8, 1.0F}}}).find("[0, 8), found 8"), std::string::npos);
  EXPECT_NE(message({.logit_bias = {{-1, 1.0F}}}).find("found -1"), std::string::npos);
  EXPECT_NE(message({.logit_bias = {{1, kInf}}}).find("token 1"), std::string::npos);
  EXPECT_FALSE(Sampler::create({}, 0).has_value());
}

TEST(Sampler, GreedyTakesTheLowerIndexOfEquals) {
  Sampler sampler = make({}, 4);
  EXPECT_TRUE(sampler.greedy());
  EXPECT_EQ(sampler.sample(Row{0.0F, 2.0F, 2.0F, kNan}, 0), 1);
  Row probs(4);
  sampler.distribution(Row{0.0F, 2.0F, 2.0F, kNan}, probs);
  EXPECT_EQ(probs, (Row{0.0F, 1.0F, 0.0F, 0.0F}));
}

TEST(Sampler, GreedyHeedsPenaltiesAndBias) {
  Sampler penalised = make({.repetition_penalty = 4.0F}, 3);
  const Row logits = {2.0F, 1.0F, 0.0F};
  EXPECT_EQ(penalised.sample(logits, 0), 0);
  penalised.accept(0);
  EXPECT_EQ(penalised.sample(logits, 0), 1);
  penalised.rollback(1);
  EXPECT_EQ(penalised.sample(logits, 0), 0);
  Sampler biased = make({.logit_bias = {{0, -kInf}}}, 3);
  EXPECT_EQ(biased.sample(logits, 0), 1);
}

TEST(Sampler, SaysWhenNoTokenCanBeChosen) {
  Sampler sampler = make({.temperature = 1.0F, .logit_bias = {{0, -kInf}}}, 2);
  EXPECT_TRUE(sampler.any_candidate(Row{0.0F, 1.0F}));
  EXPECT_FALSE(sampler.any_candidate(Row{0.0F, kNan}));
  EXPECT_EQ(sampler.sample(Row{0.0F, kNan}, 0), 0);
}

TEST(Sampler, TheWholeChainSumsToOne) {
  Sampler sampler = make({.temperature = 0.7F,
                          .top_k = 6,
                          .top_p = 0.95F,
                          .min_p = 0.02F,
                          .repetition_penalty = 1.1F,
                          .presence_penalty = 0.2F,
                          .frequency_penalty = 0.1F,
                          .logit_bias = {{3, 1.0F}}},
                         8);
  for (const int32_t token : {1, 2, 2}) sampler.accept(token);
  Row probs(8);
  sampler.distribution(Row{0.1F, 2.0F, 1.5F, 0.3F, kNan, -1.0F, 0.9F, 0.0F}, probs);
  double sum = 0.0;
  for (const float p : probs) sum += p;
  EXPECT_NEAR(sum, 1.0, 1e-6);
  EXPECT_EQ(probs[4], 0.0F);
}

TEST(Sampler, HugeValuesStayFinite) {
  const float max = std::numeric_limits<float>::max();
  Sampler sampler =
      make({.temperature = 0.01F, .repetition_penalty = 1e-30F, .logit_bias = {{1, max}}}, 3);
  sampler.accept(1);
  Row probs(3);
  sampler.distribution(Row{kInf, max, -max}, probs);
  for (const float p : probs) EXPECT_TRUE(std::isfinite(p));
}

TEST(Sampler, TheSameSeedGivesTheSameTokens) {
  const Row logits = {0.0F, 0.5F, 1.0F, 0.2F};
  std::vector<int32_t> runs[3];
  for (size_t run = 0; run < 3; ++run) {
    Sampler sampler = make({.temperature = 1.0F, .seed = run == 2 ? 5U : 4U}, 4);
    for (size_t i = 0; i < 64; ++i) runs[run].push_back(sampler.sample(logits, i));
  }
  EXPECT_EQ(runs[0], runs[1]);
  EXPECT_NE(runs[0], runs[2]);
}

TEST(Sampler, SamplesFollowTheDistribution) {
  Sampler sampler = make({.temperature = 0.8F, .top_k = 6, .seed = 11}, 8);
  const Row logits = {0.0F, 1.0F, -1.0F, 2.0F, 0.5F, -3.0F, 1.5F, 0.2F};
  Row probs(8);
  sampler.distribution(logits, probs);
  std::vector<size_t> counts(8);
  for (size_t i = 0; i < kDraws; ++i) ++counts[static_cast<size_t>(sampler.sample(logits, i))];
  EXPECT_LT(chi_square(counts, probs, kDraws), kChiSquareLimit);
}

// The heart of `exact` with a temperature: the draw from a sparse distribution is a good guess of
// the draw from the dense one at the same position.
class SharedDraws : public ::testing::TestWithParam<Row> {};

TEST_P(SharedDraws, AgreeAsOftenAsTheCouplingPromises) {
  const Row dense = {0.02F, 0.28F, 0.1F, 0.0F, 0.25F, 0.05F, 0.1F, 0.2F};
  const Row& sparse = GetParam();
  const Sampler sampler = make({.temperature = 1.0F, .seed = 2024}, 8);
  std::vector<size_t> drafts(8), counts(8);
  double n_agreed = 0.0;
  for (size_t i = 0; i < kDraws; ++i) {
    const int32_t drafted = sampler.draw(sparse, i);
    const int32_t verified = sampler.draw(dense, i);
    ++drafts[static_cast<size_t>(drafted)];
    ++counts[static_cast<size_t>(verified)];
    n_agreed += drafted == verified ? 1 : 0;
  }
  EXPECT_LT(chi_square(counts, dense, kDraws), kChiSquareLimit);
  EXPECT_LT(chi_square(drafts, sparse, kDraws), kChiSquareLimit);
  double overlap = 0.0;  // 1 - d
  for (size_t i = 0; i < 8; ++i) overlap += std::min(dense[i], sparse[i]);
  EXPECT_GT(n_agreed / kDraws, overlap / (2.0 - overlap) - 0.01);
  EXPECT_LT(n_agreed / kDraws, overlap + 0.01);
}

INSTANTIATE_TEST_SUITE_P(
    Drafts, SharedDraws,
    ::testing::Values(Row{0.02F, 0.28F, 0.1F, 0.0F, 0.25F, 0.05F, 0.1F, 0.2F},
                      Row{0.125F, 0.125F, 0.125F, 0.125F, 0.125F, 0.125F, 0.125F, 0.125F},
                      Row{0.05F, 0.25F, 0.1F, 0.03F, 0.22F, 0.05F, 0.1F, 0.2F},
                      Row{0.0F, 0.0F, 0.0F, 1.0F, 0.0F, 0.0F, 0.0F, 0.0F},
                      Row{0.0F, 0.5F, 0.0F, 0.0F, 0.5F, 0.0F, 0.0F, 0.0F},
                      Row{0.6F, 0.01F, 0.2F, 0.1F, 0.02F, 0.03F, 0.04F, 0.0F}));

// Allows the token after the last one, 0 at the beginning.
class InOrder : public TokenConstraint {
 public:
  explicit InOrder(std::vector<int32_t>& tokens) : tokens_(tokens) {}

  void restrict(std::span<float> logits) override {
    for (size_t i = 0; i < logits.size(); ++i) {
      if (i != tokens_.size()) logits[i] = -kInf;
    }
  }
  void accept(int32_t token) override { tokens_.push_back(token); }
  void rollback(size_t n_tokens) override { tokens_.resize(tokens_.size() - n_tokens); }
  Status status() const override { return {}; }

 private:
  std::vector<int32_t>& tokens_;
};

TEST(Constraint, OnlyWhatItAllowsIsDrawn) {
  for (const float temperature : {0.0F, 1.0F}) {
    Sampler sampler = make({.temperature = temperature, .repetition_penalty = 1.5F}, 4);
    const Row logits = {0.0F, -3.0F, 2.0F, -kInf};
    sampler.accept(2);  // of the prompt: the constraint is not told
    std::vector<int32_t> tokens;
    sampler.constrain(std::make_unique<InOrder>(tokens));
    for (const int32_t expected : {0, 1, 2}) {
      ASSERT_TRUE(sampler.any_candidate(logits));
      EXPECT_EQ(sampler.sample(logits, 0), expected);
      sampler.accept(expected);
    }
    EXPECT_FALSE(sampler.any_candidate(logits));
    EXPECT_NE(sampler.no_candidate(7).message.find("position 6"), std::string::npos);
    sampler.rollback(2);
    EXPECT_EQ(tokens, std::vector<int32_t>{0});
    EXPECT_EQ(sampler.sample(logits, 0), 1);
  }
}

}  // namespace
}  // namespace longhaul
