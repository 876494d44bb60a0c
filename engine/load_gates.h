// Where an engine's gates come from: a file beside the model, or random numbers.
#pragma once

#include <optional>

#include "io/gate_file.h"
#include "longhaul/engine.h"
#include "model/config.h"

namespace longhaul {

// Dimensions of random gates: those of the published ones.
inline constexpr size_t kRandomGateDim = 128;

// The gates that the options ask for, if any, for a model of this file and configuration. Error:
// gates of another model or block size (`options` with its block size filled in); both are named.
Result<std::optional<GateWeights>> load_gates(const EngineOptions& options, const GgufFile& model,
                                              const ModelConfig& config);

// Bytes that gates of `dim` dimensions take for such a model.
size_t gate_weight_bytes(const ModelConfig& config, size_t dim);

// "blocks of 64 tokens, 128 dimensions".
std::string describe(const GateWeights& gates);

}  // namespace longhaul
