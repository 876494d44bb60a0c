#include "engine/random_fill.h"

#include <random>
#include <vector>

#include "sampling/random.h"

namespace longhaul {

Status fill_random(KvSequence& sequence, const ModelConfig& config, ThreadPool& pool, size_t n_new,
                   uint64_t seed) {
  const size_t first = sequence.n_tokens();
  LH_RETURN_IF_ERROR(sequence.prepare_write(first, n_new));
  // Rows of a pool of normal numbers, each token at another offset: drawing 10 GB of them would
  // take minutes.
  constexpr size_t kPool = 1 << 16;
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(kPool + config.head_dim);
  for (float& number : numbers) number = normal(random);
  const size_t n_heads = config.n_kv_heads;
  pool.run(config.n_layers * n_heads, [&](size_t task, size_t) {
    for (size_t pos = first; pos < first + n_new; ++pos) {
      uint64_t offsets = seed + (task << 32U) + pos;
      const float* k = numbers.data() + split_mix64(offsets) % kPool;
      const float* v = numbers.data() + split_mix64(offsets) % kPool;
      sequence.write(task / n_heads, task % n_heads, pos, 1, k, v, config.head_dim);
    }
  });
  return {};
}

}  // namespace longhaul
