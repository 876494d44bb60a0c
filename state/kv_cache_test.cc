#include "state/kv_cache.h"

#include <gtest/gtest.h>

#include <thread>

#include "state/cache_model.h"

namespace longhaul {
namespace {

CacheConfig small_config(size_t block_size, size_t head_dim, KvType k_type, KvType v_type,
                         size_t max_tokens = 4096) {
  return {.n_layers = 2,
          .n_kv_heads = 2,
          .key_dim = head_dim,
          .value_dim = head_dim,
          .k_type = k_type,
          .v_type = v_type,
          .block_size = block_size,
          .max_tokens = max_tokens};
}

CacheConfig default_config(size_t max_tokens = 4096) {
  return small_config(16, 32, KvType::kF16, KvType::kF16, max_tokens);
}

// Summaries of both kinds for a cache of that configuration, which gets to know them.
struct Summaries {
  explicit Summaries(CacheConfig& config) : sums(config.key_dim), last_keys(config.key_dim) {
    config.summaries = {sums.spec(), last_keys.spec()};
  }
  SumSummary sums;
  LastKeySummary last_keys;
};

// A sequence and what it should hold.
struct Pair {
  KvSequence sequence;
  CacheModel model;
};

void write(Pair& pair, size_t first, size_t count, std::mt19937& rng) {
  ASSERT_TRUE(pair.sequence.prepare_write(first, count));
  pair.model.write(pair.sequence, first, count, rng);
}

void truncate(Pair& pair, size_t n_tokens) {
  pair.sequence.truncate(n_tokens);
  pair.model.truncate(n_tokens);
}

struct Case {
  size_t block_size;
  size_t head_dim;
  KvType k_type;
  KvType v_type;
  size_t value_dim = head_dim;
};

class KvCacheProperty : public testing::TestWithParam<Case> {};

// Random operations on several sequences that fork from one another, in a cache too small for them
// all.
TEST_P(KvCacheProperty, EqualsThePlainModelAfterAnyOperations) {
  const Case c = GetParam();
  const size_t page_tokens = 16 * c.block_size;
  CacheConfig config = small_config(c.block_size, c.head_dim, c.k_type, c.v_type, 6 * page_tokens);
  config.value_dim = c.value_dim;
  const Summaries summaries(config);
  auto cache = KvCache::create(config).value();
  std::mt19937 rng(static_cast<uint32_t>(c.block_size * 1000 + c.head_dim));
  std::vector<Pair> pairs;
  size_t n_refused = 0;
  for (size_t step = 0; step < 400; ++step) {
    if (pairs.empty()) pairs.push_back({cache->new_sequence(), CacheModel(config)});
    Pair& pair = pairs[rng() % pairs.size()];
    const size_t n = pair.model.n_tokens();
    const size_t free_before = cache->usage().pages_free;
    const uint32_t op = rng() % 16;
    if (op < 10) {  // append, or overwrite and maybe run past the end
      const size_t first = op < 6 || n == 0 ? n : n - 1 - rng() % std::min<size_t>(n, 70);
      const size_t count = 1 + rng() % (rng() % 8 == 0 ? page_tokens + 40 : 40);
      if (pair.sequence.prepare_write(first, count)) {
        pair.model.write(pair.sequence, first, count, rng);
      } else {
        ++n_refused;
        EXPECT_EQ(cache->usage().pages_free, free_before);
        EXPECT_TRUE(pair.model.matches(pair.sequence));
      }
    } else if (op < 13) {
      truncate(pair, rng() % 4 == 0 ? rng() % (n + 1) : n - rng() % std::min<size_t>(n + 1, 50));
    } else if (op < 15 && pairs.size() < 6) {
      if (auto child = pair.sequence.fork()) {
        pairs.push_back({std::move(*child), pair.model});
      } else {
        ++n_refused;
        EXPECT_EQ(cache->usage().pages_free, free_before);
      }
    } else if (op == 15) {
      std::swap(pair, pairs.back());
      pairs.pop_back();
    }
    for (int i = 0; i < 2 && !pairs.empty(); ++i) {
      const Pair& p = pairs[rng() % pairs.size()];
      ASSERT_TRUE(p.model.matches(p.sequence, rng() % 2, rng() % 2)) << "step " << step;
    }
    if (step % 100 == 0) {
      for (const Pair& p : pairs) ASSERT_TRUE(p.model.matches(p.sequence)) << "step " << step;
    }
  }
  EXPECT_GT(n_refused, 0U);  // a full cache was seen
  pairs.clear();
  EXPECT_EQ(cache->usage().pages_free, cache->usage().pages);
}

INSTANTIATE_TEST_SUITE_P(Types, KvCacheProperty,
                         testing::Values(Case{4, 64, KvType::kF16, KvType::kF16},
                                         Case{4, 32, KvType::kQ8_0, KvType::kQ8_0},
                                         Case{8, 32, KvType::kF16, KvType::kQ8_0},
                                         Case{16, 64, KvType::kQ8_0, KvType::kQ8_0},
                                         Case{16, 128, KvType::kQ8_0, KvType::kF16},
                                         Case{16, 32, KvType::kF16, KvType::kF16},
                                         Case{16, 32, KvType::kF16, KvType::kQ8_0, 96},
                                         Case{8, 64, KvType::kQ8_0, KvType::kF16, 32},
                                         Case{64, 32, KvType::kF16, KvType::kQ8_0},
                                         Case{64, 64, KvType::kQ8_0, KvType::kQ8_0}));

TEST(KvCache, LengthsAroundABlock) {
  for (const size_t block_size : {4, 16, 64}) {
    CacheConfig config = small_config(block_size, 32, KvType::kF16, KvType::kQ8_0);
    const Summaries summaries(config);
    auto cache = KvCache::create(config).value();
    std::mt19937 rng(1);
    for (const size_t n : {block_size - 1, block_size, 3 * block_size, 3 * block_size + 1,
                           16 * block_size, 16 * block_size + 1}) {
      Pair whole{cache->new_sequence(), CacheModel(config)};
      write(whole, 0, n, rng);
      EXPECT_TRUE(whole.model.matches(whole.sequence)) << n;
      Pair one_by_one{cache->new_sequence(), CacheModel(config)};
      for (size_t t = 0; t < n; ++t) write(one_by_one, t, 1, rng);
      EXPECT_TRUE(one_by_one.model.matches(one_by_one.sequence)) << n;
    }
  }
}

TEST(KvCache, ForksShareUntilOneWrites) {
  auto cache = KvCache::create(default_config(10 * 256)).value();
  std::mt19937 rng(2);
  Pair parent{cache->new_sequence(), CacheModel(cache->config())};
  write(parent, 0, 3 * 256 + 100, rng);
  const size_t bytes = cache->usage().bytes_used;
  Pair child{parent.sequence.fork().value(), parent.model};
  EXPECT_EQ(cache->usage().bytes_used, bytes);
  truncate(child, 300);  // into the middle of a block of a page of the parent
  EXPECT_EQ(cache->usage().bytes_used, bytes / 4 * 5);
  write(child, 300, 400, rng);
  write(parent, 40, 10, rng);
  EXPECT_TRUE(child.model.matches(child.sequence));
  EXPECT_TRUE(parent.model.matches(parent.sequence));
}

// A full cache: every page shared, none free but those that fork set aside.
TEST(KvCache, TruncateOfAForkNeverFails) {
  auto cache = KvCache::create(default_config(6 * 256)).value();
  std::mt19937 rng(3);
  Pair a{cache->new_sequence(), CacheModel(cache->config())};
  write(a, 0, 4 * 256, rng);
  Pair b{a.sequence.fork().value(), a.model};
  EXPECT_EQ(cache->usage().pages_free, 0U);
  EXPECT_FALSE(a.sequence.fork());
  for (const size_t n : {1000, 999, 512, 300, 17, 5}) {
    truncate(n % 2 == 0 ? a : b, n);
    EXPECT_TRUE(a.model.matches(a.sequence));
    EXPECT_TRUE(b.model.matches(b.sequence));
  }
}

TEST(KvCache, OutOfPagesChangesNothing) {
  auto cache = KvCache::create(default_config(4 * 256)).value();
  std::mt19937 rng(4);
  Pair pair{cache->new_sequence(), CacheModel(cache->config())};
  write(pair, 0, 700, rng);
  const Status status = pair.sequence.prepare_write(600, 500);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kOutOfMemory);
  EXPECT_EQ(status.error().message,
            "the KV cache has room for 1024 tokens, asked for 500 after 600");
  KvSequence other = cache->new_sequence();
  const Status full = other.prepare_write(0, 257);
  ASSERT_FALSE(full);
  EXPECT_EQ(
      full.error().message,
      "the KV cache is full: tokens 0 to 257 need 2 more pages of 256 tokens, 1 of 4 are free");
  EXPECT_EQ(pair.sequence.n_tokens(), 700U);
  EXPECT_TRUE(pair.model.matches(pair.sequence));
  write(pair, 700, 324, rng);
  EXPECT_TRUE(pair.model.matches(pair.sequence));
}

// Forward passes write the heads of a layer in parallel. Run under TSan in CI.
TEST(KvCache, HeadsMayBeWrittenInParallel) {
  CacheConfig config = default_config();
  config.n_layers = 1;
  config.n_kv_heads = 4;
  auto cache = KvCache::create(config).value();
  KvSequence sequence = cache->new_sequence();
  const std::vector<float> rows(100 * 32, 0.5F);
  for (size_t first = 0; first < 300; first += 100) {
    ASSERT_TRUE(sequence.prepare_write(first, 100));
    std::vector<std::thread> threads;
    for (size_t head = 0; head < 4; ++head) {
      threads.emplace_back(
          [&, head] { sequence.write(0, head, first, 100, rows.data(), 32, rows.data(), 32); });
    }
    for (std::thread& thread : threads) thread.join();
  }
  float key[32];
  read_k(KvType::kF16, sequence.view(0, 3).k_tile(0), 7, key, 32);
  EXPECT_EQ(key[31], 0.5F);
}

TEST(KvCache, ImpossibleConfigurationsAreNamed) {
  const auto message = [](CacheConfig config) {
    const auto cache = KvCache::create(config);
    return cache ? std::string("accepted") : cache.error().message;
  };
  CacheConfig config = default_config();
  config.block_size = 24;
  EXPECT_EQ(message(config), "KV cache: block_size must be 4, 8, 16, 32, 64, 128 or 256, found 24");
  config = default_config();
  config.key_dim = 80;
  EXPECT_EQ(message(config), "KV cache: key_dim must be a multiple of 32 up to 256, found 80");
  config = default_config(0);
  EXPECT_EQ(message(config), "KV cache: max_tokens must lie between 1 and 2147483648, found 0");
}

// A window gives its pages back; what a query sees stays, and what was given back cannot be written
// behind again.
TEST(KvCache, AWindowHoldsWhatAQuerySees) {
  for (const size_t window : {1, 15, 16, 17, 100, 256}) {
    CacheConfig config = small_config(4, 32, KvType::kF16, KvType::kQ8_0, 8 * 64);
    config.window = window;
    config.max_positions = 4096;
    auto cache = KvCache::create(config).value();
    std::mt19937 rng(5);
    Pair pair{cache->new_sequence(), CacheModel(config)};
    for (size_t n = 0, floor = 0; n < 2000;) {  // four times the capacity
      const size_t count = 1 + rng() % 100;
      write(pair, n, count, rng);
      n += count;
      ASSERT_TRUE(pair.model.matches(pair.sequence)) << window << ' ' << n;
      floor = std::max(floor, n - rng() % 20);
      pair.sequence.release(floor);
      ASSERT_TRUE(pair.model.matches(pair.sequence)) << window << ' ' << n;
      EXPECT_EQ(pair.sequence.reachable(floor), floor);
      if (rng() % 4 == 0) {
        n = floor;
        truncate(pair, n);
        ASSERT_TRUE(pair.model.matches(pair.sequence)) << window << ' ' << n;
      }
      const size_t n_held = cache->usage().pages - cache->usage().pages_free;
      EXPECT_LE(n_held, (window + 20) / 64 + 2) << window << ' ' << n;
    }
    EXPECT_EQ(pair.sequence.reachable(64), 0U);
    Pair child{pair.sequence.fork().value(), pair.model};
    write(child, child.sequence.n_tokens(), 70, rng);
    EXPECT_TRUE(child.model.matches(child.sequence));
    EXPECT_TRUE(pair.model.matches(pair.sequence));
    truncate(pair, 0);
    truncate(child, 0);
    EXPECT_EQ(cache->usage().pages_free, cache->usage().pages);
  }
}

}  // namespace
}  // namespace longhaul
