#include "model/state_slots.h"

namespace longhaul {

std::vector<SlotConfig> state_slots(const ModelConfig& model, const StateOptions& options) {
  CacheConfig cache{.n_layers = model.n_layers,
                    .n_kv_heads = model.n_kv_heads,
                    .key_dim = model.head_dim,
                    .value_dim = model.head_dim,
                    .k_type = options.k_type,
                    .v_type = options.v_type,
                    .block_size = options.block_size,
                    .summaries = options.summaries};
  // One page more for each sequence: a fork copies the page it writes to.
  const size_t page_tokens = std::max<size_t>(1, cache.page_tokens());
  const size_t n_pages = (options.n_tokens + page_tokens - 1) / page_tokens + 1;
  cache.max_tokens = n_pages * page_tokens * options.n_sequences;
  return {cache};
}

SelectorSetup selector_setup(const ModelConfig& model, size_t block_size, const GgufFile* file) {
  return {.n_layers = model.n_layers,
          .n_heads = model.n_heads,
          .n_kv_heads = model.n_kv_heads,
          .key_dim = model.head_dim,
          .block_size = block_size,
          .architecture = model.architecture,
          .name = model.name,
          .model = file};
}

}  // namespace longhaul
