// Measures what passes of a model cost on this machine.
#pragma once

#include "longhaul/calibration.h"
#include "longhaul/engine.h"
#include "model/model.h"

namespace longhaul {

// Times a few passes over random keys and values in a cache of its own, given back afterwards:
// about twelve, or a third of a second for a model of 0.5 B parameters. Blocks are chosen by gates
// where there are some, else by the default. Error: no memory for it.
Result<Calibration> calibrate(Model& model, const EngineOptions& options,
                              std::vector<SummarySpec> summaries);

}  // namespace longhaul
