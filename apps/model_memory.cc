#include "apps/model_memory.h"

#include <algorithm>

namespace longhaul {
namespace {

constexpr size_t kShortest = 4096;
constexpr size_t kLongest = 1 << 20;

// Matrices are interleaved in memory; the embedding is read from the mapped file row by row, and
// once more as the output matrix where the file has no other.
size_t packed_weight_bytes(const GgufFile& file) {
  const bool tied = file.find_tensor("output.weight") == nullptr;
  size_t n_bytes = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    if (tensor.name != "token_embd.weight" || tied) n_bytes += tensor.data.size();
  }
  return n_bytes;
}

}  // namespace

CacheConfig cache_config(const ModelConfig& config, KvType k_type, KvType v_type, size_t block_size,
                         size_t n_tokens) {
  CacheConfig cache;
  cache.n_layers = config.n_layers;
  cache.n_kv_heads = config.n_kv_heads;
  cache.head_dim = config.head_dim;
  cache.k_type = k_type;
  cache.v_type = v_type;
  cache.block_size = block_size;
  cache.max_tokens = n_tokens;
  return cache;
}

std::vector<size_t> plan_lengths(size_t trained) {
  std::vector<size_t> lengths = {trained};
  for (size_t n = kShortest; n <= std::min(kLongest, std::max(2 * trained, kShortest)); n *= 2) {
    lengths.push_back(n);
  }
  std::sort(lengths.begin(), lengths.end());
  lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
  return lengths;
}

MemoryPlan plan_memory(const GgufFile& file, const ModelConfig& config, size_t block_size) {
  MemoryPlan plan;
  plan.weight_bytes = packed_weight_bytes(file);
  for (const size_t n_tokens : plan_lengths(config.context_length)) {
    for (const KvType type : {KvType::kF16, KvType::kQ8_0}) {
      const CacheConfig cache = cache_config(config, type, type, block_size, n_tokens);
      plan.caches.push_back({n_tokens, type, bytes_for_tokens(cache, n_tokens)});
    }
  }
  return plan;
}

}  // namespace longhaul
