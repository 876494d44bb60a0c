// Stretches of tiles, out of one state and into another: keys, values and what selectors keep are
// those of the text, bit for bit.
#include <gtest/gtest.h>

#include "state/cache_model.h"
#include "state/sequence_state.h"

namespace longhaul {
namespace {

// Two slots of other shapes; blocks so small that a page has four tiles and stretches cross pages.
std::vector<SlotConfig> paged_slots(KvType k_type, KvType v_type, const SumSummary& sums,
                                    const LastKeySummary& last_keys) {
  return {CacheConfig{.n_layers = 2,
                      .n_kv_heads = 3,
                      .key_dim = 32,
                      .value_dim = 64,
                      .k_type = k_type,
                      .v_type = v_type,
                      .block_size = 4,
                      .max_tokens = 640,
                      .summaries = {sums.spec(), last_keys.spec()}},
          CacheConfig{.n_layers = 1,
                      .n_kv_heads = 1,
                      .key_dim = 32,
                      .value_dim = 32,
                      .k_type = k_type,
                      .v_type = v_type,
                      .block_size = 8,
                      .max_tokens = 640,
                      .summaries = {sums.spec()}}};
}

struct Source {
  Source(const std::vector<SlotConfig>& slots, StatePool& pool, size_t n_tokens, std::mt19937& rng)
      : state(pool.new_sequence()) {
    EXPECT_TRUE(state.reserve(0, n_tokens));
    for (size_t i = 0; i < slots.size(); ++i) {
      models.emplace_back(std::get<CacheConfig>(slots[i]));
      models.back().write(state.paged(i), 0, n_tokens, rng);
    }
  }

  SequenceState state;
  std::vector<CacheModel> models;
};

class KvTiles : public testing::TestWithParam<std::pair<KvType, KvType>> {
 protected:
  const SumSummary sums_{32};
  const LastKeySummary last_keys_{32};
  const std::vector<SlotConfig> slots_ =
      paged_slots(GetParam().first, GetParam().second, sums_, last_keys_);
};

TEST_P(KvTiles, StretchesMakeTheSameState) {
  std::mt19937 rng(3);
  const auto pool = StatePool::create(slots_).value();
  const auto other = StatePool::create(slots_).value();
  for (int round = 0; round < 20; ++round) {
    const size_t n_tiles = 1 + rng() % 12;
    // Some tokens behind the last whole tile, which stay where they are.
    Source source(slots_, *pool, n_tiles * kTileTokens + rng() % kTileTokens, rng);
    SequenceState state = other->new_sequence();
    for (size_t done = 0; done < n_tiles;) {
      const size_t n = 1 + rng() % (n_tiles - done);
      std::vector<std::byte> bytes(source.state.tiles_bytes(n * kTileTokens));
      source.state.copy_tiles(done * kTileTokens, n * kTileTokens, bytes);
      ASSERT_TRUE(state.append_tiles(n * kTileTokens, bytes));
      done += n;
    }
    ASSERT_EQ(state.n_tokens(), n_tiles * kTileTokens);
    for (size_t i = 0; i < slots_.size(); ++i) {
      source.models[i].truncate(n_tiles * kTileTokens);
      EXPECT_TRUE(source.models[i].matches(state.paged(i))) << round << " slot " << i;
    }
    // And it goes on like any other.
    ASSERT_TRUE(state.reserve(state.n_tokens(), 5));
    for (size_t i = 0; i < slots_.size(); ++i) {
      source.models[i].write(state.paged(i), n_tiles * kTileTokens, 5, rng);
      EXPECT_TRUE(source.models[i].matches(state.paged(i))) << round << " slot " << i;
    }
  }
}

// What is shared is copied before it is written.
TEST_P(KvTiles, AForkIsNotTouched) {
  std::mt19937 rng(5);
  const auto pool = StatePool::create(slots_).value();
  Source source(slots_, *pool, 48, rng);
  std::vector<std::byte> first(source.state.tiles_bytes(16));
  source.state.copy_tiles(0, 16, first);
  SequenceState fork = source.state.fork().value();
  ASSERT_EQ(fork.rewind(32), 32U);
  ASSERT_TRUE(fork.append_tiles(16, first));
  for (size_t i = 0; i < slots_.size(); ++i)
    EXPECT_TRUE(source.models[i].matches(source.state.paged(i)));
  std::vector<std::byte> again(first.size());
  fork.copy_tiles(32, 16, again);
  EXPECT_EQ(again, first);
}

TEST_P(KvTiles, AFullCacheChangesNothing) {
  std::mt19937 rng(7);
  const auto pool = StatePool::create(slots_).value();
  Source source(slots_, *pool, 400, rng);
  std::vector<std::byte> bytes(source.state.tiles_bytes(320));
  source.state.copy_tiles(0, 320, bytes);
  SequenceState state = pool->new_sequence();
  EXPECT_FALSE(state.append_tiles(320, bytes));
  EXPECT_EQ(state.n_tokens(), 0U);
  EXPECT_EQ(state.paged(0).n_tokens(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Types, KvTiles,
                         testing::Values(std::pair(KvType::kF16, KvType::kF16),
                                         std::pair(KvType::kQ8_0, KvType::kQ8_0),
                                         std::pair(KvType::kF16, KvType::kQ8_0)));

}  // namespace
}  // namespace longhaul
