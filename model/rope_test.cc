#include "model/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <vector>

namespace longhaul {
namespace {

RopeConfig plain(size_t dim, double theta) {
  RopeConfig config;
  config.dim = dim;
  config.theta = theta;
  return config;
}

TEST(Rope, PlainFrequencies) {
  const RopeTable table(plain(4, 10000.0), {});
  ASSERT_EQ(table.n_frequencies(), 2U);
  EXPECT_DOUBLE_EQ(table.frequencies()[0], 1.0);
  EXPECT_DOUBLE_EQ(table.frequencies()[1], 0.01);
  float cos[2];
  float sin[2];
  table.angles(100, cos, sin);
  EXPECT_FLOAT_EQ(cos[1], std::cos(1.0F));
  EXPECT_FLOAT_EQ(sin[1], std::sin(1.0F));
}

TEST(Rope, LinearDividesEveryFrequency) {
  RopeConfig config = plain(8, 500.0);
  const RopeTable plain_table(config, {});
  config.scaling = RopeScaling::kLinear;
  config.factor = 4.0;
  const RopeTable table(config, {});
  for (size_t i = 0; i < 4; ++i)
    EXPECT_DOUBLE_EQ(table.frequencies()[i] * 4.0, plain_table.frequencies()[i]);
  EXPECT_EQ(table.magnitude(), 1.0);
}

TEST(Rope, AttentionFactorActsWithoutYarnToo) {
  RopeConfig config = plain(4, 100.0);
  config.attn_factor = 1.5;
  EXPECT_EQ(RopeTable(config, {}).magnitude(), 1.5);
}

TEST(Rope, FactorsDivideTheirFrequency) {
  const RopeConfig config = plain(4, 100.0);
  const std::vector<float> factors = {1.0F, 8.0F};
  const RopeTable table(config, factors);
  EXPECT_DOUBLE_EQ(table.frequencies()[0], 1.0);
  EXPECT_DOUBLE_EQ(table.frequencies()[1], 0.1 / 8.0);
}

// YaRN keeps the fast waves, stretches the slow ones by the factor, and enlarges the result by 1 +
// 0.1 ln s.
TEST(Rope, YarnKeepsFastAndStretchesSlowWaves) {
  RopeConfig config = plain(128, 1e6);
  const RopeTable plain_table(config, {});
  config.scaling = RopeScaling::kYarn;
  config.factor = 4.0;
  config.original_context = 32768;
  const RopeTable table(config, {});
  EXPECT_NEAR(table.magnitude(), 1.0 + 0.1 * std::log(4.0), 1e-12);
  double last_ratio = 1.0;
  for (size_t i = 0; i < 64; ++i) {
    const double ratio = table.frequencies()[i] / plain_table.frequencies()[i];
    const double n_turns = 32768.0 * plain_table.frequencies()[i] / (2.0 * std::numbers::pi);
    if (n_turns > 40.0) {
      EXPECT_DOUBLE_EQ(ratio, 1.0) << i;
    }
    if (n_turns < 0.8) {
      EXPECT_DOUBLE_EQ(ratio, 0.25) << i;
    }
    EXPECT_LE(ratio, last_ratio + 1e-15) << i;
    last_ratio = ratio;
  }
}

}  // namespace
}  // namespace longhaul
