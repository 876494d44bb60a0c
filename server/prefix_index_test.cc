#include "server/prefix_index.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

namespace longhaul {
namespace {

constexpr size_t kPage = 4;

std::vector<int32_t> tokens(size_t n, int32_t first = 0) {
  std::vector<int32_t> ids(n);
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

TEST(PrefixIndex, FindsTheLongestUsableBeginning) {
  PrefixIndex index(1000, kPage, false);
  const auto a = index.add({1, 2, 3, 4, 5}, 5, 0).id;
  const auto b = index.add({1, 2, 9, 9, 9, 9}, 6, 0).id;
  const auto c = index.add({1, 2, 3, 4, 5, 6, 7}, 3, 0).id;  // clean up to the third only
  ASSERT_TRUE(a && b && c);
  const std::vector<int32_t> prompt = {1, 2, 3, 4, 5, 6, 8};
  const auto matches = index.find(prompt, 0, 3);
  ASSERT_EQ(matches.size(), 3U);
  EXPECT_EQ(matches[0].id, *a);
  EXPECT_EQ(matches[0].n_usable, 5U);
  EXPECT_FALSE(matches[0].next);  // the text ends there
  EXPECT_EQ(matches[1].id, *c);
  EXPECT_EQ(matches[1].n_common, 6U);
  EXPECT_EQ(matches[1].n_usable, 3U);
  EXPECT_EQ(matches[1].next, 7);
  EXPECT_EQ(matches[2].id, *b);
  EXPECT_EQ(matches[2].n_common, 2U);
  EXPECT_EQ(index.find(prompt, 0, 1).size(), 1U);
  EXPECT_TRUE(index.find(std::vector<int32_t>{7}, 0, 3).empty());
}

TEST(PrefixIndex, OwnersDoNotSeeEachOther) {
  PrefixIndex index(1000, kPage, true);
  ASSERT_TRUE(index.add({1, 2, 3}, 3, 1).id);
  EXPECT_TRUE(index.find(std::vector<int32_t>{1, 2, 3}, 2, 3).empty());
  EXPECT_FALSE(index.has_any(2));
  EXPECT_TRUE(index.add({1, 2, 3}, 3, 2).id);  // and do not cover each other's
  EXPECT_EQ(index.n_entries(), 2U);
}

TEST(PrefixIndex, ALongerTextTakesThePlaceOfItsBeginning) {
  PrefixIndex index(1000, kPage, true);
  const auto shorter = index.add(tokens(6), 6, 0).id;
  const auto longer = index.add(tokens(9), 9, 0);
  EXPECT_EQ(longer.gone, std::vector<uint64_t>{*shorter});
  EXPECT_FALSE(index.add(tokens(8), 8, 0).id);  // all of it is there
  EXPECT_EQ(index.n_entries(), 1U);
  PrefixIndex windows(1000, kPage, false);
  ASSERT_TRUE(windows.add(tokens(6), 6, 0).id);
  EXPECT_TRUE(windows.add(tokens(9), 9, 0).gone.empty());
}

TEST(PrefixIndex, TheLeastRecentlyUsedGoesFirst) {
  PrefixIndex index(3 * 2 * kPage, kPage, true);  // three entries of one page and the spare one
  const auto a = index.add(tokens(4, 100), 4, 0).id;
  const auto b = index.add(tokens(4, 200), 4, 0).id;
  const auto c = index.add(tokens(4, 300), 4, 0).id;
  ASSERT_TRUE(a && b && c);
  index.touch(*a);
  EXPECT_EQ(index.add(tokens(4, 400), 4, 0).gone, std::vector<uint64_t>{*b});
  EXPECT_EQ(index.add(tokens(8, 500), 8, 0).gone, (std::vector<uint64_t>{*c, *a}));
  EXPECT_FALSE(index.add(tokens(24, 600), 24, 0).id);  // larger than the limit: nothing has to go
  EXPECT_EQ(index.n_entries(), 2U);
}

TEST(PrefixIndex, NeverIsOverItsLimit) {
  std::mt19937 random(5);
  constexpr size_t kLimit = 200;
  PrefixIndex index(kLimit, kPage, true);
  size_t n_alive = 0;
  for (int i = 0; i < 2000; ++i) {
    std::vector<int32_t> text(1 + random() % 40);
    for (int32_t& token : text) token = static_cast<int32_t>(random() % 3);
    const size_t n_clean = random() % (text.size() + 1);
    const auto added = index.add(text, n_clean, random() % 2);
    n_alive += added.id ? 1 : 0;
    n_alive -= added.gone.size();
    ASSERT_LE(index.n_tokens(), kLimit);
    ASSERT_EQ(index.n_entries(), n_alive);
    for (const auto& match : index.find(text, 0, 4)) ASSERT_LE(match.n_usable, match.n_common);
  }
}

}  // namespace
}  // namespace longhaul
