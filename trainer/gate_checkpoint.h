// A distillation run on disk: gates, optimiser and step in one folder, replaced as a whole.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"
#include "trainer/gate.h"

namespace torch::optim {
class AdamW;
}

namespace longhaul::trainer {

// `identity` is an object of all that a run must keep from beginning to end.
Status save_gate_checkpoint(const std::string& folder, int64_t step, const nlohmann::json& identity,
                            const Gates& gates, const torch::optim::AdamW& adamw);

// Restores gates and moments; returns the step. Error: the first key of `identity` in which the
// checkpoint's differs, with both values.
Result<int64_t> load_gate_checkpoint(const std::string& folder, const nlohmann::json& identity,
                                     const Gates& gates, torch::optim::AdamW& adamw);

}  // namespace longhaul::trainer
