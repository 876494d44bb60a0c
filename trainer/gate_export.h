// Gates as a gate file beside their model (docs/gates.md).
#pragma once

#include <string>

#include "base/result.h"
#include "io/gate_file.h"
#include "model/plan.h"
#include "trainer/gate.h"

namespace longhaul::trainer {

// The model that gates are for: its file, open, and its plan.
struct GateModel {
  GgufFile file;
  ModelPlan plan;
  GateBase base;

  static Result<GateModel> open(const std::string& path);
};

// What the gates of a model take from it; block size and gate dimensions are the published ones.
GateConfig gate_config(const ModelPlan& model);

// Of the file's matrices, by its name: F16 or F32.
Result<TensorType> gate_type(const std::string& name);

// Gates whose inputs are in halves, as the trainer has them, in the order of the model's file.
// `source` says where imported gates come from, else it is empty.
GateWeights to_gate_weights(const GateConfig& config, const Gates& gates, const GateModel& model,
                            const std::string& source);

}  // namespace longhaul::trainer
