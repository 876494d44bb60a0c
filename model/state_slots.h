// What the sequences of a model keep: its slots, with capacity and storage types filled in, and
// what selectors are told of it.
#pragma once

#include <vector>

#include "attention/setup.h"
#include "model/plan.h"
#include "state/sequence_state.h"

namespace longhaul {

struct StateOptions {
  KvType k_type = KvType::kF16;
  KvType v_type = KvType::kF16;
  size_t block_size = 16;
  size_t n_sequences = 1;
  size_t n_tokens = 0;  // of each
  // Tokens beside a window that a sequence may hold at once: those of a pass, and those that may be
  // rewound. 0: windows never give pages back, so they hold everything.
  size_t window_margin = 0;
  // What every layer that is selected from keeps per block.
  std::vector<SummarySpec> summaries = {};
};

std::vector<SlotConfig> state_slots(const ModelPlan& model, const StateOptions& options);

// The attention of the model's layers that are selected from, of no layers where it has none;
// without data of selectors.
SelectorSetup selector_setup(const ModelPlan& model, size_t block_size,
                             const GgufFile* file = nullptr);

}  // namespace longhaul
