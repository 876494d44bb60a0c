// Whether a model and its cache fit in memory, before either is made.
#pragma once

#include <string>

#include "cache/cache_config.h"
#include "longhaul/engine.h"
#include "model/config.h"

namespace longhaul {

// The cache that sessions with these options (zeros filled in) need, with gate keys of gate_dim
// dimensions.
CacheConfig cache_config_for(const ModelConfig& model, const EngineOptions& options,
                             size_t gate_dim = 0);

// What loading will take.
struct LoadPlan {
  std::string name;         // of the file or shape
  size_t weight_bytes = 0;  // interleaved for the kernels
  size_t source_bytes = 0;  // held in memory beside them: the file of a random model
  size_t buffer_bytes = 0;  // of a pass
  CacheConfig cache;
};

// An Error with the plan, line by line, if it needs more than `available_bytes`.
Status check_fits(const LoadPlan& plan, size_t available_bytes);

}  // namespace longhaul
