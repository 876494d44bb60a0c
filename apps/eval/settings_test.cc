#include "apps/eval/settings.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace longhaul::eval {
namespace {

std::vector<std::string> names(const Plan& plan) {
  const auto settings = make_settings(plan);
  EXPECT_TRUE(settings) << settings.error().message;
  std::vector<std::string> list;
  for (const Setting& setting : *settings) list.push_back(setting.name);
  return list;
}

// A plan with what is left open filled in, from gates of a file for each of these block sizes.
Plan settled_plan(std::map<size_t, std::string> gates = {}) {
  Plan plan;
  plan.gates = std::move(gates);
  EXPECT_TRUE(settle_gates(plan));
  return plan;
}

TEST(Settings, GatesAreTheSelectorOfTheirBlockSizes) {
  Plan plan = settled_plan({{16, "a"}, {64, "b"}});
  plan.modes = {AttentionMode::kSparse};
  EXPECT_EQ(names(plan),
            (std::vector<std::string>{"sparse gate 10% b16 f16", "sparse gate 10% b64 f16"}));
  EXPECT_EQ(plan.gates_for(64), "b");
  EXPECT_EQ(plan.gates_for(32), "");
  plan.block_sizes = {16, 32};
  const auto status = settle_gates(plan);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "--gates: expected a file for blocks of 32 tokens, found none");
}

TEST(Settings, ThresholdsAreForGatesAlone) {
  Plan plan = settled_plan({{64, "b"}});
  plan.modes = {AttentionMode::kSparse};
  plan.selectors = {"minmax", "gate"};
  plan.gate_thresholds = {0.001};
  plan.token_budgets = {512};
  EXPECT_EQ(names(plan), (std::vector<std::string>{"sparse minmax 512 tokens b64 f16",
                                                   "sparse gate 512 tokens b64 f16",
                                                   "sparse gate S>0.001 b64 f16"}));
  EXPECT_EQ(make_recall_settings(plan).size(), 1U);
}

TEST(Settings, WhatDoesNotMatterToAModeIsNoSecondRow) {
  Plan plan = settled_plan();
  plan.block_sizes = {4, 16};
  plan.periods = {8, 32};
  plan.ratios = {0.1, 0.25};
  plan.rectify = {RectifyKind::kDense, RectifyKind::kWide};
  const auto list = names(plan);
  // dense 1; sparse 2 x 2; resa 2 x 2 x 2 x 2; exact 2 x 2 x 2.
  EXPECT_EQ(list.size(), 1U + 4U + 16U + 8U);
  EXPECT_EQ(std::count(list.begin(), list.end(), "dense f16"), 1);
  EXPECT_EQ(std::count(list.begin(), list.end(), "sparse outlier 10% b4 f16"), 1);
  EXPECT_EQ(std::count(list.begin(), list.end(), "resa outlier 25% b16 f8 wide f16"), 1);
  EXPECT_EQ(std::count(list.begin(), list.end(), "exact outlier 10% b16 f32 f16"), 1);
}

TEST(Settings, BudgetsMayBeSharesAndTokens) {
  Plan plan = settled_plan();
  plan.modes = {AttentionMode::kSparse};
  EXPECT_EQ(names(plan), std::vector<std::string>{"sparse outlier 10% b16 f16"});
  plan.token_budgets = {512};
  EXPECT_EQ(names(plan), std::vector<std::string>{"sparse outlier 512 tokens b16 f16"});
  plan.ratios = {0.5};
  EXPECT_EQ(names(plan).size(), 2U);
}

TEST(Settings, ImpossibleOnesAreNamed) {
  Plan plan = settled_plan();
  plan.modes = {AttentionMode::kSparse};
  plan.token_budgets = {8};
  const auto settings = make_settings(plan);
  ASSERT_FALSE(settings);
  EXPECT_NE(settings.error().message.find("sparse outlier 8 tokens b16 f16"), std::string::npos)
      << settings.error().message;
}

TEST(Settings, RecallIsMeasuredOncePerBudgetBesideTheOracle) {
  Plan plan = settled_plan();
  plan.ratios = {0.1, 0.2};
  plan.selectors = {"minmax", "window"};
  EXPECT_EQ(make_recall_settings(plan).size(), 2U);
  EXPECT_EQ(recall_selectors(plan), (std::vector<std::string>{"minmax", "window", "oracle"}));
}

}  // namespace
}  // namespace longhaul::eval
