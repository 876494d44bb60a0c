// Which items are listed, in what order, and what is said about budgets.
#include "apps/eval/wrong.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "apps/eval/budget_note.h"

namespace longhaul::eval {
namespace {

Setting setting_of(AttentionMode mode) {
  Setting setting;
  setting.name = to_string(mode);
  setting.attention.mode = mode;
  return setting;
}

Record record_of(AttentionMode mode, size_t item, bool right, const std::string& text) {
  Record record;
  record.setting = to_string(mode);
  record.task = "q";
  record.item = item;
  record.answer = AnswerRecord{};
  record.answer->right = right;
  record.answer->text = text;
  return record;
}

class WrongTest : public testing::Test {
 protected:
  void SetUp() override {
    for (size_t i = 0; i < 3; ++i) {
      Item item;
      item.task = "q";
      item.index = i;
      item.question = "question " + std::to_string(i);
      item.answer = "right " + std::to_string(i);
      item.score = [](std::string_view) { return TaskScore{}; };
      items_.push_back(item);
    }
    for (const auto mode : {AttentionMode::kDense, AttentionMode::kSparse, AttentionMode::kExact}) {
      settings_.push_back(setting_of(mode));
    }
    const auto add = [&](size_t item, bool dense, bool sparse, const std::string& text) {
      records_.push_back(record_of(AttentionMode::kSparse, item, sparse, text));
      for (const auto mode : {AttentionMode::kDense, AttentionMode::kExact}) {
        records_.push_back(record_of(mode, item, dense, "dense's"));
      }
    };
    add(0, false, false, "other");
    add(1, true, true, "dense's");
    add(2, true, false, "lost");
  }

  std::vector<Item> items_;
  std::vector<Setting> settings_;
  std::vector<Record> records_;
};

TEST_F(WrongTest, WhatDenseHasRightComesFirstAndSameTextsStandTogether) {
  const auto wrong = wrong_items(records_, items_, settings_);
  ASSERT_EQ(wrong.size(), 2U);
  EXPECT_EQ(wrong[0].index, 2U);
  EXPECT_TRUE(wrong[0].lost);
  EXPECT_EQ(wrong[0].right, (std::vector<std::string>{"dense", "exact"}));
  EXPECT_EQ(wrong[1].index, 0U);
  EXPECT_FALSE(wrong[1].lost);
  ASSERT_EQ(wrong[1].wrong.size(), 2U);
  EXPECT_EQ(wrong[1].wrong[0].settings, (std::vector<std::string>{"dense", "exact"}));
  EXPECT_EQ(wrong[1].wrong[1].text, "other");
  const std::string text = plain_text(wrong, 1);
  for (const char* part :
       {"2, of which dense has 1 right; the first 1", "q, item 2: dense is right", "question 2",
        "right 2", "got from sparse\n    lost", "right: dense, exact"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " not in:\n" << text;
  }
  EXPECT_EQ(text.find("item 0"), std::string::npos);
  EXPECT_EQ(to_json(wrong, 1).size(), 1U);
}

TEST_F(WrongTest, OfALongQuestionTheEndIsShownInWholeCharacters) {
  items_[0].question = std::string(3000, 'x');
  for (int i = 0; i < 300; ++i) items_[0].question += "ö";
  items_[0].question += "?";
  const auto wrong = wrong_items(records_, items_, settings_);
  const std::string& shown = wrong[1].question;
  EXPECT_LT(shown.size(), 700U);
  EXPECT_TRUE(shown.starts_with("… ö"));
  EXPECT_TRUE(shown.ends_with("ö?"));
}

TEST(BudgetNote, SaysWhatDecided) {
  Setting setting = setting_of(AttentionMode::kSparse);  // 10%, at least 16 blocks of 16
  EXPECT_EQ(budget_note(setting, {200, 250}, true),
            "100% read: the text is too short to tell; --min-blocks 16 covers it");
  EXPECT_TRUE(reads_all(setting, {200, 256}));
  EXPECT_FALSE(reads_all(setting, {200, 257}));
  EXPECT_EQ(budget_note(setting, {1000, 4000}, false),
            "--min-blocks 16 decided the budget of 1 of 2 items, where 10% are fewer blocks");
  EXPECT_EQ(budget_note(setting, {4000, 8000}, false), "");
  setting.attention.token_budget = 512;
  EXPECT_EQ(budget_note(setting, {400}, true), "100% read: the text is too short to tell");
  EXPECT_EQ(budget_note(setting, {1000}, false), "");
  setting.attention.mode = AttentionMode::kAuto;
  EXPECT_EQ(budget_note(setting, {1000}, true), "100% read: auto never left dense");
  EXPECT_EQ(budget_note(setting_of(AttentionMode::kDense), {200}, true), "");
}

}  // namespace
}  // namespace longhaul::eval
