// The verdict says what the numbers do and no more.
#include "apps/eval/verdict.h"

#include <gtest/gtest.h>

namespace longhaul::eval {
namespace {

class VerdictTest : public testing::Test {
 protected:
  // A setting with its answers to 40 items, of which dense has 20 right.
  AnswerRow& add(AttentionMode mode, size_t n_lost, size_t n_won, size_t n_same) {
    Setting setting;
    setting.name = to_string(mode);
    setting.attention.mode = mode;
    settings_.push_back(setting);
    AnswerRow row;
    row.task = "q";
    row.setting = setting.name;
    row.n = 40;
    row.n_right = 20 + n_won - n_lost;
    row.n_lost = n_lost;
    row.n_won = n_won;
    row.n_same = n_same;
    row.beside_dense = true;
    row.n_blocks = 100;
    row.n_blocks_read = setting.is_dense() ? 100 : 10;
    summary_.answers.push_back(row);
    return summary_.answers.back();
  }
  void expect(const std::string& part) const {
    const std::string words = verdict(summary_, settings_);
    EXPECT_NE(words.find(part), std::string::npos) << part << " not in: " << words;
  }

  Summary summary_;
  std::vector<Setting> settings_;
};

TEST_F(VerdictTest, WorseOpenAndTheSame) {
  add(AttentionMode::kDense, 0, 0, 40);
  add(AttentionMode::kSparse, 15, 1, 10);
  add(AttentionMode::kResa, 3, 2, 30);
  add(AttentionMode::kExact, 0, 0, 40);
  expect("sparse is worse than dense: -35.0 points (95%: -");
  expect("resa cannot be told from dense by 40 items: ");
  expect("exact gave dense's very text on all 40 items.");
}

TEST_F(VerdictTest, NothingIsSaidOfTextsThatAreTooShortOrItemsBeyondTheModel) {
  AnswerRow& dense = add(AttentionMode::kDense, 0, 0, 40);
  expect("Dense ran alone");
  dense.n_right = 0;
  expect("Dense has none of the 40 answers right");
  summary_.answers.front().n_right = 20;
  add(AttentionMode::kSparse, 0, 0, 40).n_blocks_read = 100;
  expect("sparse read every block at every step: the texts are too short to tell");
}

TEST_F(VerdictTest, WithoutDenseNothingIsCompared) {
  add(AttentionMode::kSparse, 0, 0, 0).beside_dense = false;
  expect("Dense did not run");
}

TEST_F(VerdictTest, DivergenceHasItsInterval) {
  add(AttentionMode::kSparse, 0, 0, 0);
  summary_.answers.clear();
  ForcedRow row;
  row.task = "text";
  row.setting = "sparse";
  row.length = 4096;
  row.mean_kl = 0.034;
  row.kl_interval = {0.02, 0.05};
  summary_.forced.push_back(row);
  expect("in nats a token: sparse 0.0340 on text, 4096 tokens (95%: 0.0200 to 0.0500).");
}

}  // namespace
}  // namespace longhaul::eval
