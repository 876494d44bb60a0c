#include "engine/random_fill.h"

#include <algorithm>
#include <random>
#include <variant>
#include <vector>

#include "sampling/random.h"

namespace longhaul {
namespace {

constexpr size_t kPool = 1 << 16;
constexpr size_t kPiece = 1024;  // tokens at once: windows give pages back in between

void fill_paged(KvSequence& kv, ThreadPool& pool, size_t first, size_t count, uint64_t seed,
                const std::vector<float>& numbers) {
  const CacheConfig& config = kv.config();
  pool.run(config.n_layers * config.n_kv_heads, [&](size_t task, size_t) {
    for (size_t pos = first; pos < first + count; ++pos) {
      uint64_t offsets = seed + (task << 32U) + pos;
      const float* k = numbers.data() + split_mix64(offsets) % kPool;
      const float* v = numbers.data() + split_mix64(offsets) % kPool;
      kv.write(task / config.n_kv_heads, task % config.n_kv_heads, pos, 1, k, 0, v, 0);
    }
  });
}

void fill_recurrent(RecurrentState& recurrent, size_t n_tokens, const std::vector<float>& numbers) {
  for (size_t layer = 0; layer < recurrent.config().n_layers; ++layer) {
    const std::span<float> floats = recurrent.layer(layer);
    for (size_t i = 0; i < floats.size(); ++i) floats[i] = numbers[(layer + i) % kPool];
  }
  recurrent.advance(n_tokens);
}

}  // namespace

Status fill_random(SequenceState& state, ThreadPool& pool, size_t n_new, uint64_t seed) {
  // Rows of a pool of normal numbers, each token at another offset: drawing 10 GB of them would
  // take minutes.
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(kPool + kMaxHeadDim);
  for (float& number : numbers) number = normal(random);
  const size_t end = state.n_tokens() + n_new;
  for (size_t first = state.n_tokens(); first < end;) {
    const size_t count = std::min(kPiece, end - first);
    LH_RETURN_IF_ERROR(state.reserve(first, count));
    for (size_t slot = 0; slot < state.n_slots(); ++slot) {
      if (state.is_paged(slot)) {
        fill_paged(state.paged(slot), pool, first, count, seed, numbers);
      } else {
        fill_recurrent(state.recurrent(slot), first + count, numbers);
      }
    }
    first += count;
    state.release(first);
  }
  return {};
}

}  // namespace longhaul
