// For tests and the fuzzer: the slots of a tiny model of every kind, one paged with a summary, one
// with a window, one recurrent.
#pragma once

#include <vector>

#include "state/cache_model.h"
#include "state/sequence_state.h"

namespace longhaul {

inline std::vector<SlotConfig> tiny_slots() {
  static const SumSummary kSums(32);
  return {CacheConfig{.n_layers = 1,
                      .n_kv_heads = 1,
                      .key_dim = 32,
                      .value_dim = 32,
                      .block_size = 4,
                      .max_tokens = 256,
                      .summaries = {kSums.spec()}},
          CacheConfig{.n_layers = 1,
                      .n_kv_heads = 1,
                      .key_dim = 32,
                      .value_dim = 64,
                      .block_size = 4,
                      .window = 20,
                      .max_tokens = 256,
                      .max_positions = 256},
          RecurrentConfig{.n_layers = 2, .n_floats = 8}};
}

}  // namespace longhaul
