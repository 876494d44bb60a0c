// The gated feed-forward: (activation(x Wgate) * x Wup) Wdown.
#pragma once

#include <string>

#include "model/pass.h"
#include "model/plan.h"
#include "model/tensor_visitor.h"

namespace longhaul {

struct GatedWeights {
  PackedMatrix w_gate;  // [d_ff, d_model]
  PackedMatrix w_up;    // [d_ff, d_model]
  PackedMatrix w_down;  // [d_model, d_ff]
};
template <>
struct WeightsOfSpec<GatedSpec> {
  using Type = GatedWeights;
};

void visit_tensors(const GatedSpec& spec, size_t d_model, const std::string& prefix,
                   GatedWeights& weights, TensorVisitor& visitor);

// out = activation(gate) * up, n numbers; `out` may be one of the two.
void activate(Activation activation, const float* gate, const float* up, size_t n, float* out);

// Its buffers, shared by all layers that have it.
class Gated {
 public:
  Gated(const ModelPlan& plan, size_t max_rows);
  // Bytes of the buffers per row.
  static size_t row_bytes(const ModelPlan& plan);

  // pass.product = the feed-forward of pass.normed.
  void run(Pass& pass, const GatedSpec& spec, const GatedWeights& weights);

 private:
  AlignedBuffer<float> gate_;  // [rows, d_ff]
  AlignedBuffer<float> up_;    // [rows, d_ff]
};

}  // namespace longhaul
