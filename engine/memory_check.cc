#include "engine/memory_check.h"

#include <algorithm>

#include "cache/memory_plan.h"

namespace longhaul {

CacheConfig cache_config_for(const ModelConfig& model, const EngineOptions& options,
                             size_t gate_dim) {
  CacheConfig cache = cache_config(model);
  cache.k_type = options.k_type;
  cache.v_type = options.v_type;
  cache.block_size = options.block_size;
  cache.gate_dim = gate_dim;
  // One page more for each session: a fork copies the page it writes to.
  const size_t page_tokens = kBoundsGroupBlocks * std::max<size_t>(1, options.block_size);
  const size_t session_pages = (options.ctx_size + page_tokens - 1) / page_tokens + 1;
  cache.max_tokens = session_pages * page_tokens * options.max_sessions;
  return cache;
}

Status check_fits(const LoadPlan& plan, size_t available_bytes) {
  const size_t cache_bytes = bytes_for_tokens(plan.cache, plan.cache.max_tokens).total();
  const size_t needed = plan.weight_bytes + plan.source_bytes + plan.buffer_bytes + cache_bytes;
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
                    describe_plan(plan.cache, plan.cache.max_tokens),
                    format_bytes(available_bytes));
}

}  // namespace longhaul
