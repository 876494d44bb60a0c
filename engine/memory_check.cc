#include "engine/memory_check.h"

#include <algorithm>

#include "engine/device.h"
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
  if (setup.n_layers == 0) return setup;
  setup.data_path = options.gates_path;
  setup.random_data = options.random_gates;
  setup.kept = {options.device == "cpu" ? "outlier" : "minmax"};  // all that a device knows
  setup.kept.insert(setup.kept.end(), options.selectors.begin(), options.selectors.end());
  return setup;
}

namespace {

Status refuse(const LoadPlan& plan, const StateBytes& state, size_t needed, size_t available,
              std::string_view where) {
  const std::string source = plan.source_bytes == 0
                                 ? ""
                                 : fmt::format(", {} for the random weights they are made from",
                                               format_bytes(plan.source_bytes));
  return make_error(ErrorCode::kOutOfMemory,
                    "{} does not fit in memory{}: {} needed ({} for weights{}, {} for buffers, "
                    "cache {}), but only {} are available; use a smaller context or smaller types",
                    plan.name, where, format_bytes(needed), format_bytes(plan.weight_bytes), source,
                    format_bytes(plan.buffer_bytes),
                    describe_plan(state, capacity_tokens(plan.slots)), format_bytes(available));
}

}  // namespace

Status check_fits(const LoadPlan& plan, Backend& backend) {
  const bool on_host = backend.device_memory() == nullptr;
  const StateBytes state = bytes_when_full(plan.slots);
  const size_t made = plan.weight_bytes + plan.buffer_bytes + state.total();
  LH_ASSIGN_OR_RETURN(const size_t on_backend, available_memory(backend));
  const size_t needed = on_host ? made + plan.source_bytes : made;
  if (needed > on_backend)
    return refuse(plan, state, needed, on_backend, on_host ? "" : " of the device");
  LH_ASSIGN_OR_RETURN(const size_t host, available_memory());
  if (plan.source_bytes > host) return refuse(plan, state, plan.source_bytes, host, "");
  return {};
}

}  // namespace longhaul
