// How much memory a KV cache takes, before it is made: the numbers that `inspect` prints and that
// create() checks.
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "base/result.h"
#include "cache/cache_config.h"
#include "cache/paged_store.h"

namespace longhaul {

// Bytes of each store, by StoreKind, and of its tiles those of K.
struct CacheBytes {
  std::array<size_t, kStoreCount> by_store{};
  size_t n_key_bytes = 0;

  size_t keys() const { return n_key_bytes; }
  size_t values() const { return by_store[kTiles] - n_key_bytes; }
  size_t bounds() const { return by_store[kBounds]; }
  size_t gate_keys() const { return by_store[kGateKeys]; }
  size_t total() const;
};

// What one token adds in the long run, all layers and heads; rounded up to a byte.
CacheBytes bytes_per_token(const CacheConfig& config);

// What one sequence of `n_tokens` tokens makes resident: every tile and group it touches, rounded
// to the pages of the system. Shared prefixes count once; a further sequence costs bytes_for_tokens
// of its own tokens.
CacheBytes bytes_for_tokens(const CacheConfig& config, size_t n_tokens);

// One line: "1.61 GiB for 131072 tokens (keys 768.0 MiB, values ..., bounds ...)".
std::string describe_plan(const CacheConfig& config, size_t n_tokens);

// Memory that the system, and the control group if there is one, can still give to this process.
Result<size_t> available_memory();

// An Error with the plan if a full cache needs more than `available_bytes`. The configuration must
// be valid.
Status check_fits(const CacheConfig& config, size_t available_bytes);

// "1.61 GiB", "640.0 MiB", "512 bytes".
std::string format_bytes(size_t n_bytes);

}  // namespace longhaul
