// What keeping K and V costs per token, for the shape of Qwen2.5-0.5B (24 layers, 2 KV
// heads of 64).
#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "state/kv_cache.h"

namespace longhaul {
namespace {

CacheConfig config_of(KvType type) {
  return {.n_layers = 24,
          .n_kv_heads = 2,
          .key_dim = 64,
          .value_dim = 64,
          .k_type = type,
          .v_type = type,
          .max_tokens = 32768};
}

std::vector<float> random_rows(size_t count) {
  std::mt19937 rng(1);
  std::normal_distribution<float> normal;
  std::vector<float> rows(count * 64);
  for (float& x : rows) x = normal(rng);
  return rows;
}

void write_all(KvSequence& sequence, size_t first, size_t count, const std::vector<float>& rows) {
  if (!sequence.prepare_write(first, count)) std::abort();
  for (size_t layer = 0; layer < 24; ++layer) {
    for (size_t head = 0; head < 2; ++head) {
      sequence.write(layer, head, first, count, rows.data(), 64, rows.data(), 64);
    }
  }
}

// Appends of range(1) tokens, all layers and heads; items are tokens.
void append(benchmark::State& state) {
  auto cache = KvCache::create(config_of(static_cast<KvType>(state.range(0)))).value();
  KvSequence sequence = cache->new_sequence();
  const auto count = static_cast<size_t>(state.range(1));
  const std::vector<float> rows = random_rows(count);
  for (auto _ : state) {
    if (sequence.n_tokens() + count > 4096) sequence.truncate(0);
    write_all(sequence, sequence.n_tokens(), count, rows);
  }
  state.SetItemsProcessed(state.iterations() * state.range(1));
}
BENCHMARK(append)->ArgsProduct({{0, 1}, {1, 32, 512}});

// The rectification of 32 tokens in the middle of a block.
void overwrite(benchmark::State& state) {
  auto cache = KvCache::create(config_of(static_cast<KvType>(state.range(0)))).value();
  KvSequence sequence = cache->new_sequence();
  const std::vector<float> rows = random_rows(1024);
  write_all(sequence, 0, 1024, rows);
  for (auto _ : state) write_all(sequence, 985, 32, rows);
  state.SetItemsProcessed(state.iterations() * 32);
}
BENCHMARK(overwrite)->Arg(0)->Arg(1);

// A rejected draft: 16 tokens appended, then forgotten in the middle of a block; items are
// truncations.
void append_and_truncate(benchmark::State& state) {
  auto cache = KvCache::create(config_of(static_cast<KvType>(state.range(0)))).value();
  KvSequence sequence = cache->new_sequence();
  const std::vector<float> rows = random_rows(1024);
  write_all(sequence, 0, 1001, rows);
  for (auto _ : state) {
    write_all(sequence, 1001, 16, rows);
    sequence.truncate(1001);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(append_and_truncate)->Arg(0)->Arg(1);

}  // namespace
}  // namespace longhaul
