// The gated feed-forward: (activation(x Wgate) * x Wup) Wdown.
#pragma once

#include <string>

#include "model/pass.h"
#include "model/plan.h"
#include "model/tensor_visitor.h"

namespace longhaul {

struct GatedWeights {
  MatrixPtr w_gate;  // [d_ff, d_model]
  MatrixPtr w_up;    // [d_ff, d_model]
  MatrixPtr w_down;  // [d_model, d_ff]
};
template <>
struct WeightsOfSpec<GatedSpec> {
  using Type = GatedWeights;
};

void visit_tensors(const GatedSpec& spec, size_t d_model, const std::string& prefix,
                   GatedWeights& weights, TensorVisitor& visitor);

// Its buffers, shared by all layers that have it.
class Gated {
 public:
  Gated(const ModelPlan& plan, Backend& backend, size_t max_rows);
  // Bytes of the buffers per row.
  static size_t row_bytes(const ModelPlan& plan);

  // pass.product = the feed-forward of pass.normed.
  void run(Pass& pass, const GatedSpec& spec, const GatedWeights& weights);

 private:
  Floats gate_;  // [rows, d_ff]
  Floats up_;    // [rows, d_ff]
};

}  // namespace longhaul
