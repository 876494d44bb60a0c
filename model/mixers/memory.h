// Gated memory units: which tensors they have, and how a pass runs them. They keep nothing.
#pragma once

#include <string>

#include "model/pass.h"
#include "model/plan.h"
#include "model/tensor_visitor.h"

namespace longhaul {

struct MemoryWeights {
  MatrixPtr w_in;   // [d_inner, d_model]
  MatrixPtr w_out;  // [d_model, d_inner]
};
template <>
struct WeightsOfSpec<MemorySpec> {
  using Type = MemoryWeights;
};

void visit_tensors(const MemorySpec& spec, size_t d_model, const std::string& prefix,
                   MemoryWeights& weights, TensorVisitor& visitor);

// The buffer of the units, shared by all layers.
class MemoryUnit {
 public:
  MemoryUnit(const ModelPlan& plan, Backend& backend, size_t max_rows);
  // Bytes of the buffer per row.
  static size_t row_bytes(const ModelPlan& plan);

  // pass.product = the unit of pass.normed and pass.memory.
  void run(Pass& pass, const MemorySpec& spec, const MemoryWeights& weights);

 private:
  Floats gate_;  // [rows, d_inner]
};

}  // namespace longhaul
