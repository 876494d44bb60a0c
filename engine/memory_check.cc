#include "engine/memory_check.h"

#include <algorithm>

#include "engine/text.h"
#include "state/memory_plan.h"

namespace longhaul {

std::vector<SlotConfig> slots_for(const ModelPlan& model, const EngineOptions& options,
                                  std::vector<SummarySpec> summaries) {
  return state_slots(model, {.k_type = options.k_type,
                             .v_type = options.v_type,
                             .block_size = options.block_size,
                             .n_sequences = options.max_sessions,
                             .n_tokens = options.ctx_size,
                             .window_margin = options.prefill_chunk + Text::kWindowSlack,
                             .summaries = std::move(summaries)});
}

SelectorSetup setup_for(const ModelPlan& model, const EngineOptions& options,
                        const GgufFile* file) {
  SelectorSetup setup = selector_setup(model, options.block_size, file);
  setup.data_path = options.gates_path;
  setup.random_data = options.random_gates;
  return setup;
}

Status check_fits(const LoadPlan& plan, size_t available_bytes) {
  const StateBytes state = bytes_when_full(plan.slots);
  const size_t needed = plan.weight_bytes + plan.source_bytes + plan.buffer_bytes + state.total();
  if (needed <= available_bytes) return {};
  const std::string source = plan.source_bytes == 0
                                 ? ""
                                 : fmt::format(", {} for the random weights they are made from",
                                               format_bytes(plan.source_bytes));
  return make_error(ErrorCode::kOutOfMemory,
                    "{} does not fit in memory: {} needed ({} for weights{}, {} for buffers, cache "
                    "{}), but only {} are available; use a smaller context or smaller types",
                    plan.name, format_bytes(needed), format_bytes(plan.weight_bytes), source,
                    format_bytes(plan.buffer_bytes),
                    describe_plan(state, capacity_tokens(plan.slots)),
                    format_bytes(available_bytes));
}

}  // namespace longhaul
