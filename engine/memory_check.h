// Whether a model and its states fit in memory, before either is made.
#pragma once

#include <string>
#include <vector>

#include "longhaul/engine.h"
#include "model/backend.h"
#include "model/state_slots.h"

namespace longhaul {

// The slots that sessions with these options (zeros filled in) need, with what selectors keep.
std::vector<SlotConfig> slots_for(const ModelPlan& model, const EngineOptions& options,
                                  std::vector<SummarySpec> summaries);

// What selectors are told of a model that is loaded with these options (zeros filled in).
SelectorSetup setup_for(const ModelPlan& model, const EngineOptions& options,
                        const GgufFile* file = nullptr);

struct LoadPlan {
  std::string name;         // of the file or shape
  size_t weight_bytes = 0;  // interleaved for the kernels
  size_t source_bytes = 0;  // held in memory beside them: the file of a random model
  size_t buffer_bytes = 0;  // of a pass
  std::vector<SlotConfig> slots;
};

// An Error that names all parts unless they fit together in the memory of the backend, and what they
// are made from beside them or, where that is a device, in the host's.
Status check_fits(const LoadPlan& plan, Backend& backend);

}  // namespace longhaul
