#include "apps/context.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "apps/output.h"
#include "base/result.h"
#include "engine/memory_check.h"
#include "io/gguf.h"
#include "model/model.h"
#include "model/tensors.h"
#include "state/memory_plan.h"

namespace longhaul {
namespace {

constexpr size_t kStep = 256;

// What a session of so many tokens takes, with all that does not grow with it.
Result<std::function<size_t(size_t)>> memory_by_length(const EngineOptions& options,
                                                       const GgufFile& file,
                                                       const ModelPlan& model) {
  LH_ASSIGN_OR_RETURN(const auto summaries, plan_summaries(setup_for(model, options, &file)));
  size_t fixed =
      weight_bytes(model, file).packed + Model::buffer_bytes(model, options.prefill_chunk);
  for (const SummaryPlan& summary : summaries) fixed += summary.weight_bytes;
  return [=, specs = specs_of(summaries)](size_t n_tokens) {
    EngineOptions one = options;
    one.ctx_size = n_tokens;
    one.max_sessions = 1;
    return fixed + bytes_when_full(slots_for(model, one, specs)).total();
  };
}

}  // namespace

size_t fitting_context(size_t trained, size_t room, const std::function<size_t(size_t)>& needed) {
  if (trained <= kStep || needed(trained) <= room) return trained;
  size_t fits = 1, too_many = (trained + kStep - 1) / kStep;  // in steps
  while (fits + 1 < too_many) {
    const size_t middle = fits + (too_many - fits) / 2;
    (needed(middle * kStep) <= room ? fits : too_many) = middle;
  }
  return fits * kStep;
}

Status settle_context(EngineOptions& options) {
  if (options.ctx_size != 0 || options.device != "cpu" || options.model_path.empty()) return {};
  EngineOptions effective = options;
  LH_RETURN_IF_ERROR(settle_block_size(effective));
  LH_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(options.model_path));
  LH_ASSIGN_OR_RETURN(const ModelPlan model,
                      read_plan(file, PlanOptions{.block_causal = options.block_causal}));
  LH_ASSIGN_OR_RETURN(const auto needed, memory_by_length(effective, file, model));
  LH_ASSIGN_OR_RETURN(const size_t available, available_memory());
  const size_t fits = fitting_context(model.context_length, available / 4 * 3, needed);
  if (fits == model.context_length) return {};
  options.ctx_size = fits;
  fmt::print(
      stderr,
      "longhaul: a context of {} tokens, which takes three quarters of the {} that are free; "
      "the model was trained for {} (-c says how many)\n",
      fits, format_bytes(available), model.context_length);
  return {};
}

Result<std::unique_ptr<Engine>> load_engine(EngineOptions options) {
  LH_RETURN_IF_ERROR(settle_context(options));
  LH_ASSIGN_OR_RETURN(auto engine, Engine::load(options));
  print_warnings(*engine);
  return engine;
}

}  // namespace longhaul
