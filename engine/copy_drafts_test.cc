#include "engine/copy_drafts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace longhaul {
namespace {

std::vector<int32_t> random_text(size_t n, int32_t n_words, unsigned seed) {
  std::mt19937 rng(seed);
  std::vector<int32_t> tokens(n);
  for (int32_t& token : tokens) token = static_cast<int32_t>(rng()) % n_words;
  return tokens;
}

std::vector<int32_t> copy_of(std::span<const int32_t> part) { return {part.begin(), part.end()}; }

TEST(CopyDrafts, ContinueWhatWasSaidBefore) {
  std::vector<int32_t> text = {9, 1, 2, 3, 4, 5, 6, 7, 8, 20, 21};
  CopyDrafts drafts;
  EXPECT_TRUE(drafts.propose(text, 10).empty());
  text.insert(text.end(), {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(copy_of(drafts.propose(text, 10)), (std::vector<int32_t>{7, 8, 20, 21}));
  EXPECT_EQ(copy_of(drafts.propose(text, 2)), (std::vector<int32_t>{7, 8}));
  text.back() = 66;
  EXPECT_TRUE(drafts.propose(text, 10).empty());
}

TEST(CopyDrafts, TheLatestPlaceCounts) {
  const std::vector<int32_t> text = {1, 2, 3, 4,  5, 6, 70, 0, 1, 2, 3,
                                     4, 5, 6, 71, 0, 1, 2,  3, 4, 5, 6};
  CopyDrafts drafts;
  EXPECT_EQ(drafts.propose(text, 10).front(), 71);
}

TEST(CopyDrafts, GrowAndShrinkByWhatWasRight) {
  std::vector<int32_t> text = random_text(200, 50, 1);
  const std::vector<int32_t> again(text.begin(), text.begin() + 100);
  text.insert(text.end(), again.begin(), again.end());
  CopyDrafts drafts;
  EXPECT_EQ(drafts.propose(text, 32).size(), CopyDrafts::kFirstRoom);
  drafts.judge(4, 4);
  EXPECT_EQ(drafts.propose(text, 32).size(), 8U);
  drafts.judge(8, 8);
  drafts.judge(16, 16);
  EXPECT_EQ(drafts.propose(text, 32).size(), 32U);
  drafts.judge(1, 32);
  EXPECT_EQ(drafts.propose(text, 32).size(), CopyDrafts::kFirstRoom);
  EXPECT_EQ(drafts.match(), 2 * CopyDrafts::kLeastMatch);
  for (int i = 0; i < 9; ++i) drafts.judge(0, 4);
  EXPECT_EQ(drafts.match(), CopyDrafts::kMostMatch);
  EXPECT_FALSE(drafts.propose(text, 32).empty());  // 100 tokens agree
  text.push_back(1000);
  EXPECT_TRUE(drafts.propose(text, 32).empty());
}

// Also those that were entered last before the table grew.
TEST(CopyDrafts, EveryPlaceIsFoundAgain) {
  std::vector<int32_t> text;
  CopyDrafts drafts;
  for (int32_t i = 0; i < 9000; ++i) {
    text.push_back(i);
    ASSERT_TRUE(drafts.propose(text, 4).empty());
  }
  for (size_t end = CopyDrafts::kLeastMatch; end < 9000; ++end) {
    std::vector<int32_t> asked = text;
    asked.insert(asked.end(), text.begin() + static_cast<std::ptrdiff_t>(end - 6),
                 text.begin() + static_cast<std::ptrdiff_t>(end));
    const auto found = drafts.propose(asked, 1);
    ASSERT_EQ(found.size(), 1U) << end;
    ASSERT_EQ(found.front(), asked[end]) << end;
  }
}

// Against a search of the whole text, as it grows, with cuts, past several sizes of the table.
TEST(CopyDrafts, AreThoseOfASearch) {
  std::mt19937 rng(2);
  std::vector<int32_t> text = random_text(3000, 3, 3);
  CopyDrafts drafts;
  size_t n_found = 0;
  for (int round = 0; round < 400; ++round) {
    const auto found = drafts.propose(text, 4);
    size_t place = 0;
    for (size_t end = text.size() - 1; end >= drafts.match() && place == 0; --end) {
      if (std::equal(text.end() - static_cast<std::ptrdiff_t>(CopyDrafts::kLeastMatch), text.end(),
                     text.begin() + static_cast<std::ptrdiff_t>(end - CopyDrafts::kLeastMatch)))
        place = end;
    }
    ASSERT_EQ(found.empty(), place == 0) << round;
    if (place != 0) {
      ASSERT_EQ(static_cast<size_t>(found.data() - text.data()), place) << round;
      ++n_found;
    }
    const auto more =
        random_text(1 + rng() % 40, round % 2 == 0 ? 3 : 100, static_cast<unsigned>(rng()));
    text.insert(text.end(), more.begin(), more.end());
  }
  EXPECT_GT(n_found, 50U);
}

}  // namespace
}  // namespace longhaul
