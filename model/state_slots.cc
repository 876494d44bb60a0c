#include "model/state_slots.h"

#include <algorithm>

#include "base/rounding.h"

namespace longhaul {
namespace {

CacheConfig paged_slot(const PagedSlot& slot, const StateOptions& options) {
  CacheConfig cache{.n_layers = slot.n_layers,
                    .n_kv_heads = slot.n_kv_heads,
                    .key_dim = slot.key_dim,
                    .value_dim = slot.value_dim,
                    .k_type = options.k_type,
                    .v_type = options.v_type,
                    .block_size = options.block_size,
                    .window = slot.window};
  if (slot.window > 0) cache.block_size = 4;  // small pages, since they go back whole
  const size_t page_tokens = std::max<size_t>(1, cache.page_tokens());
  // One page more for each sequence: a fork copies the page it writes to.
  size_t n_pages = ceil_div(options.n_tokens, page_tokens) + 1;
  if (slot.window == 0) {
    cache.summaries = options.summaries;
  } else {
    cache.max_positions = n_pages * page_tokens;
    // The window may begin and end within a page.
    if (options.window_margin > 0)
      n_pages = std::min(n_pages, ceil_div(slot.window + options.window_margin, page_tokens) + 2);
  }
  cache.max_tokens = n_pages * page_tokens * options.n_sequences;
  return cache;
}

}  // namespace

std::vector<SlotConfig> state_slots(const ModelPlan& model, const StateOptions& options) {
  std::vector<SlotConfig> slots;
  for (const SlotSpec& slot : model.slots) {
    if (const auto* paged = std::get_if<PagedSlot>(&slot)) {
      slots.emplace_back(paged_slot(*paged, options));
    } else {
      const auto& recurrent = std::get<RecurrentSlot>(slot);
      slots.emplace_back(
          RecurrentConfig{.n_layers = recurrent.n_layers, .n_floats = recurrent.n_floats});
    }
  }
  return slots;
}

SelectorSetup selector_setup(const ModelPlan& model, size_t block_size, const GgufFile* file) {
  const AttentionSpec* attention = main_attention(model);
  if (attention == nullptr) return {};
  return {.n_layers = std::get<PagedSlot>(model.slots[attention->kv.slot]).n_layers,
          .n_heads = attention->n_heads,
          .n_kv_heads = attention->n_kv_heads,
          .key_dim = attention->key_dim,
          .block_size = block_size,
          .architecture = model.architecture,
          .name = model.name,
          .model = file};
}

}  // namespace longhaul
