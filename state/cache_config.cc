#include "state/cache_config.h"

#include <algorithm>
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

Status check_dim(std::string_view field, size_t dim) {
  if (dim > 0 && dim % 32 == 0 && dim <= kMaxHeadDim) return {};
  return unsupported("KV cache: {} must be a multiple of 32 up to {}, found {}", field, kMaxHeadDim,
                     dim);
}

}  // namespace

size_t CacheConfig::held_tokens(size_t n_tokens) const {
  if (window == 0) return n_tokens;
  const size_t first = n_tokens - std::min(n_tokens, window - 1);
  return n_tokens - first / page_tokens() * page_tokens();
}

Status validate(const CacheConfig& config) {
  LH_RETURN_IF_ERROR(check_range("n_layers", config.n_layers, kMaxLayers));
  LH_RETURN_IF_ERROR(check_range("n_kv_heads", config.n_kv_heads, kMaxHeads));
  LH_RETURN_IF_ERROR(check_range("max_tokens", config.max_tokens, kMaxTokens));
  LH_RETURN_IF_ERROR(check_dim("key_dim", config.key_dim));
  LH_RETURN_IF_ERROR(check_dim("value_dim", config.value_dim));
  if (!std::has_single_bit(config.block_size) || config.block_size < 4 || config.block_size > 256) {
    return bad_input("KV cache: block_size must be 4, 8, 16, 32, 64, 128 or 256, found {}",
                     config.block_size);
  }
  return {};
}

}  // namespace longhaul
