// Bounds, outliers and gate keys are, after any operations, those computed from scratch: through
// the cache and its plain model.
#include "attention/gate/summary.h"

#include <gtest/gtest.h>

#include "attention/minmax/summary.h"
#include "attention/outlier/summary.h"
#include "io/random_gates.h"
#include "state/cache_model.h"

namespace longhaul {
namespace {

struct Case {
  size_t block_size;
  size_t key_dim;
  KvType k_type;
};

class Summaries : public testing::TestWithParam<Case> {};

GateWeights gates_for(const CacheConfig& config) {
  const GateBase base = {.n_layers = config.n_layers,
                         .n_heads = 2 * config.n_kv_heads,
                         .n_kv_heads = config.n_kv_heads,
                         .head_dim = config.key_dim};
  return random_gates(base, config.block_size, 32, 5);
}

TEST_P(Summaries, AreThoseFromScratchAfterAnyOperations) {
  const Case c = GetParam();
  CacheConfig config = {.n_layers = 2,
                        .n_kv_heads = 2,
                        .key_dim = c.key_dim,
                        .value_dim = 32,
                        .k_type = c.k_type,
                        .block_size = c.block_size,
                        .max_tokens = 6 * 16 * c.block_size};
  const BoundsSummary bounds(c.key_dim);
  const OutlierSummary outliers(c.key_dim);
  const GateSummary gates(gates_for(config), {.frequencies = {1, 0.1, 0.01}});
  config.summaries = {bounds.spec(), outliers.spec(), gates.spec()};
  auto cache = KvCache::create(config).value();
  std::mt19937 rng(static_cast<uint32_t>(c.block_size * 1000 + c.key_dim));
  struct Pair {
    KvSequence sequence;
    CacheModel model;
  };
  std::vector<Pair> pairs;
  for (size_t step = 0; step < 120; ++step) {
    if (pairs.empty()) pairs.push_back({cache->new_sequence(), CacheModel(config)});
    Pair& pair = pairs[rng() % pairs.size()];
    const size_t n = pair.model.n_tokens();
    const uint32_t op = rng() % 8;
    if (op < 5) {
      const size_t first = op < 3 || n == 0 ? n : n - 1 - rng() % std::min<size_t>(n, 70);
      const size_t count = 1 + rng() % 60;
      if (pair.sequence.prepare_write(first, count))
        pair.model.write(pair.sequence, first, count, rng);
    } else if (op < 7) {
      const size_t to = n - rng() % std::min<size_t>(n + 1, 50);
      pair.sequence.truncate(to);
      pair.model.truncate(to);
    } else if (pairs.size() < 3) {
      if (auto child = pair.sequence.fork()) pairs.push_back({std::move(*child), pair.model});
    } else {
      std::swap(pair, pairs.back());
      pairs.pop_back();
    }
    for (const Pair& p : pairs) ASSERT_TRUE(p.model.matches(p.sequence)) << "step " << step;
  }
}

INSTANTIATE_TEST_SUITE_P(Types, Summaries,
                         testing::Values(Case{4, 64, KvType::kF16}, Case{8, 32, KvType::kQ8_0},
                                         Case{16, 64, KvType::kQ8_0}, Case{64, 32, KvType::kF16}));

}  // namespace
}  // namespace longhaul
