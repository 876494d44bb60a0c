// Where gates come from: a file beside the model, or random numbers.
#pragma once

#include <string>

#include "attention/setup.h"
#include "io/gate_file.h"

namespace longhaul {

// Dimensions of random gates: those of the published ones; and the blocks they are for.
inline constexpr size_t kRandomGateDim = 128;
inline constexpr size_t kRandomGateBlockSize = 64;

// The block size that the gates of a file were trained for.
Result<size_t> gate_block_size(const std::string& path);

// The two of SummaryMaker.
Result<SummaryPlan> plan_gates(const SelectorSetup& setup);
Result<std::unique_ptr<Summary>> make_gates(const SelectorSetup& setup, const RopeAngles& rope);

// What gates for such a model name as their base. Error: the file has no norm weights to tell it
// by.
Result<GateBase> gate_base(const SelectorSetup& setup);

}  // namespace longhaul
