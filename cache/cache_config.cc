#include "cache/cache_config.h"

#include <bit>
#include <string_view>

namespace longhaul {
namespace {

// Layers, heads and tokens at their limits, times 1 KiB of one token, still fit in 63 bits.
constexpr size_t kMaxLayers = 1024;
constexpr size_t kMaxHeads = 1024;
constexpr size_t kMaxTokens = size_t{1} << 31;

Status check_range(std::string_view field, size_t value, size_t most) {
  if (value >= 1 && value <= most) return {};
  return bad_input("KV cache: {} must lie between 1 and {}, found {}", field, most, value);
}

}  // namespace

Status validate(const CacheConfig& config) {
  LH_RETURN_IF_ERROR(check_range("n_layers", config.n_layers, kMaxLayers));
  LH_RETURN_IF_ERROR(check_range("n_kv_heads", config.n_kv_heads, kMaxHeads));
  LH_RETURN_IF_ERROR(check_range("max_tokens", config.max_tokens, kMaxTokens));
  if (config.head_dim == 0 || config.head_dim % 32 != 0 || config.head_dim > kMaxHeadDim) {
    return unsupported("KV cache: head_dim must be a multiple of 32 up to {}, found {}",
                       kMaxHeadDim, config.head_dim);
  }
  if (!std::has_single_bit(config.block_size) || config.block_size < 4 || config.block_size > 256) {
    return bad_input("KV cache: block_size must be 4, 8, 16, 32, 64, 128 or 256, found {}",
                     config.block_size);
  }
  return {};
}

}  // namespace longhaul
