#include "attention/selector.h"

#include <gtest/gtest.h>

#include <vector>

namespace longhaul {
namespace {

std::vector<TileRef> expand(std::vector<uint32_t> ids, size_t block_size, size_t n_tokens) {
  std::vector<TileRef> tiles(64);
  tiles.resize(expand_blocks(ids, block_size, n_tokens, tiles));
  return tiles;
}

TEST(Selector, RegistryFindsEveryFolder) {
  for (const char* name : {"gate", "minmax", "oracle", "outlier", "window"}) {
    ASSERT_NE(find_selector(name), nullptr) << name;
    EXPECT_EQ(find_selector(name)->name, name);
  }
  EXPECT_EQ(find_selector("nothing"), nullptr);
  EXPECT_EQ(all_selectors().size(), 5U);
}

TEST(Selector, BudgetFollowsThePaper) {
  const Selector& minmax = *find_selector("minmax");
  AttentionOptions options;  // ratio 0.1, 16 blocks at least, 1 local
  EXPECT_EQ(n_selected_blocks(options, minmax, 1, 16), 1U);
  EXPECT_EQ(n_selected_blocks(options, minmax, 15, 16), 15U);  // n_blocks < n_min
  EXPECT_EQ(n_selected_blocks(options, minmax, 160, 16), 16U);
  EXPECT_EQ(n_selected_blocks(options, minmax, 161, 16), 17U);  // ceil(16.1)
  EXPECT_EQ(n_selected_blocks(options, minmax, 300, 16),
            30U);  // 0.1 * 300 is a hair above 30 in binary
  options.sparse_ratio = 1.0;
  EXPECT_EQ(n_selected_blocks(options, minmax, 161, 16), 161U);
  options.token_budget = 64;
  EXPECT_EQ(n_selected_blocks(options, minmax, 161, 16), 4U);
  options.token_budget = 16;
  options.local_blocks = 3;
  EXPECT_EQ(n_selected_blocks(options, minmax, 161, 16), 3U);  // the forced blocks always fit
  EXPECT_EQ(n_selected_blocks(options, *find_selector("window"), 161, 16), 4U);
  EXPECT_EQ(n_selected_blocks(options, *find_selector("outlier"), 161, 16), 4U);
}

TEST(Selector, BlocksBecomeTilesWithMasks) {
  const auto whole = expand({0, 2}, 16, 48);
  ASSERT_EQ(whole.size(), 2U);
  EXPECT_EQ(whole[0].tile, 0U);
  EXPECT_EQ(whole[0].mask, 0xFFFF);
  EXPECT_EQ(whole[1].tile, 2U);

  const auto partial = expand({2}, 16, 37);  // 5 tokens of the last tile
  ASSERT_EQ(partial.size(), 1U);
  EXPECT_EQ(partial[0].mask, 0x001F);

  const auto small =
      expand({0, 3, 4}, 4, 18);  // 4-token blocks: two bits fields of tile 0, two tokens of tile 1
  ASSERT_EQ(small.size(), 2U);
  EXPECT_EQ(small[0].mask, 0xF00F);
  EXPECT_EQ(small[1].tile, 1U);
  EXPECT_EQ(small[1].mask, 0x0003);

  const auto large = expand({1}, 64, 100);  // 36 tokens of block 1: tiles 4, 5 and 4 tokens of 6
  ASSERT_EQ(large.size(), 3U);
  EXPECT_EQ(large[0].tile, 4U);
  EXPECT_EQ(large[2].mask, 0x000F);
}

}  // namespace
}  // namespace longhaul
