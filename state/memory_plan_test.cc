#include "state/memory_plan.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "state/cache_model.h"

namespace longhaul {
namespace {

// The shape of Qwen2.5-0.5B, with bounds as selectors keep them: per 16 blocks of 16 tokens and
// dimension 16 bytes and one of the origin, per 32 dimensions 16 times two halves and a float of
// the origin; in multiples of 64.
constexpr size_t kBoundsBytes = 1280;
CacheConfig half_billion(KvType type, size_t max_tokens) {
  return {.n_layers = 24,
          .n_kv_heads = 2,
          .key_dim = 64,
          .value_dim = 64,
          .k_type = type,
          .v_type = type,
          .block_size = 16,
          .max_tokens = max_tokens,
          .summaries = {{.name = "bounds", .tag = 1, .group_bytes = kBoundsBytes}}};
}

size_t resident_bytes() {
  std::ifstream in("/proc/self/statm");
  size_t total = 0;
  size_t resident = 0;
  in >> total >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

std::vector<SlotConfig> slots(const CacheConfig& config) { return {config}; }

TEST(MemoryPlan, BytesPerToken) {
  const StateBytes f16 = bytes_per_token(slots(half_billion(KvType::kF16, 1024)));
  EXPECT_EQ(f16.keys, 24U * 2 * 64 * 2);
  EXPECT_EQ(f16.values, 24U * 2 * 64 * 2);
  EXPECT_EQ(f16.summary("bounds"), 24U * 2 * kBoundsBytes / (16 * 16));
  EXPECT_EQ(f16.summary("gate keys"), 0U);
  const StateBytes q8 = bytes_per_token(slots(half_billion(KvType::kQ8_0, 1024)));
  EXPECT_EQ(q8.keys, 24U * 2 * (64 + 4));
  CacheConfig mixed = half_billion(KvType::kF16, 1024);
  mixed.v_type = KvType::kQ8_0;
  EXPECT_EQ(bytes_for_tokens(slots(mixed), 1024).keys, 1024U * f16.keys);
  EXPECT_EQ(bytes_for_tokens(slots(mixed), 1024).values, 1024U * q8.values);
  mixed.value_dim = 128;
  EXPECT_EQ(bytes_for_tokens(slots(mixed), 1024).values, 2 * 1024U * q8.values);
}

TEST(MemoryPlan, AFullCacheCostsItsTokens) {
  for (const KvType type : {KvType::kF16, KvType::kQ8_0}) {
    const auto all = slots(half_billion(type, 131072));
    EXPECT_EQ(bytes_for_tokens(all, 131072).total(), bytes_per_token(all).total() * 131072);
    EXPECT_EQ(bytes_when_full(all).total(), bytes_for_tokens(all, 131072).total());
  }
}

// The memory of a window layer is that of its window, of a recurrent one that of its numbers.
TEST(MemoryPlan, WindowsAndRecurrentSlotsDoNotGrow) {
  CacheConfig window = half_billion(KvType::kF16, 2048);
  window.block_size = 4;
  window.window = 512;
  window.max_positions = 1 << 20;
  window.summaries.clear();
  const size_t token_bytes = 24U * 2 * 64 * 2 * 2;
  const StateBytes long_text = bytes_for_tokens(slots(window), 1 << 20);
  EXPECT_EQ(long_text.total(), token_bytes * 512);
  // In whole pages of 64 tokens, and up to the tile of the last token.
  EXPECT_EQ(bytes_for_tokens(slots(window), (1 << 20) + 33).total(), token_bytes * 560);
  EXPECT_EQ(bytes_per_token(slots(window)).total(), 0U);
  EXPECT_EQ(capacity_tokens(slots(window)), size_t{1} << 20);
  const std::vector<SlotConfig> recurrent = {
      RecurrentConfig{.n_layers = 3, .n_floats = 100, .n_snapshots = 1}};
  EXPECT_EQ(bytes_for_tokens(recurrent, 1 << 20).recurrent, 2U * 3 * 100 * sizeof(float));
}

// What the plan says is what the process takes.
TEST(MemoryPlan, MatchesWhatIsTouched) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers take memory of their own";
#endif
  CacheConfig config = half_billion(KvType::kF16, 8192);
  const SumSummary sums(64);  // of other numbers than bounds, and smaller
  config.summaries = {sums.spec()};
  auto cache = KvCache::create(config).value();
  KvSequence sequence = cache->new_sequence();
  const std::vector<float> row(64, 1.0F);
  const size_t before = resident_bytes();
  for (const size_t n : {256, 700, 3000, 8192}) {  // the last fills huge pages
    const size_t first = sequence.n_tokens();
    ASSERT_TRUE(sequence.prepare_write(first, n - first));
    for (size_t layer = 0; layer < config.n_layers; ++layer) {
      for (size_t head = 0; head < config.n_kv_heads; ++head) {
        sequence.write(layer, head, first, n - first, row.data(), 0, row.data(), 0);
      }
    }
    const double taken = static_cast<double>(resident_bytes() - before);
    const double planned = static_cast<double>(bytes_for_tokens(slots(config), n).total());
    EXPECT_NEAR(taken / planned, 1.0, 0.1) << n;
  }
  sequence.truncate(0);  // freed pages go back to the system, but for the few kept warm
  const size_t kept = bytes_for_tokens(slots(config), 1024).total();
  EXPECT_LT(resident_bytes() - before, kept + kept / 5);
}

TEST(MemoryPlan, RefusesWhatDoesNotFit) {
  const auto config = slots(half_billion(KvType::kF16, 131072));
  EXPECT_TRUE(check_fits(config, size_t{2} << 30));
  const Status status = check_fits(config, size_t{1} << 30);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kOutOfMemory);
  EXPECT_EQ(status.error().message,
            "the KV cache does not fit in memory: 1.53 GiB for 131072 tokens (keys 768.0 MiB, "
            "values 768.0 MiB, bounds 30.0 MiB), but only 1.00 GiB are available; use a smaller "
            "context or a smaller KV type");
  EXPECT_GT(available_memory().value(), 0U);
}

}  // namespace
}  // namespace longhaul
