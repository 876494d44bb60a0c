#include <random>

#include "base/random.h"
#include "model/cpu/backend.h"

namespace longhaul {
namespace {

constexpr size_t kPool = 1 << 16;

// Normal numbers; each token takes a row of them at another offset: drawing 10 GB would take
// minutes.
std::vector<float> normal_numbers(uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(kPool + kMaxHeadDim);
  for (float& number : numbers) number = normal(random);
  return numbers;
}

}  // namespace

void CpuBackend::fill_random(KvSequence& kv, size_t first, size_t count, uint64_t seed) {
  // A depth is filled piece by piece: the numbers are drawn once for all.
  if (normal_.empty() || normal_seed_ != seed) normal_ = normal_numbers(seed);
  normal_seed_ = seed;
  const CacheConfig& config = kv.config();
  pool_.run(config.n_layers * config.n_kv_heads, [&](size_t task, size_t) {
    for (size_t pos = first; pos < first + count; ++pos) {
      uint64_t offsets = seed + (task << 32U) + pos;
      const float* k = normal_.data() + split_mix64(offsets) % kPool;
      const float* v = normal_.data() + split_mix64(offsets) % kPool;
      kv.write(task / config.n_kv_heads, task % config.n_kv_heads, pos, 1, k, 0, v, 0);
    }
  });
}

}  // namespace longhaul
