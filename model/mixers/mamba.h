// Mamba: which tensors it has, what it keeps of a sequence, and how a pass runs it.
#pragma once

#include <string>

#include "model/pass.h"
#include "model/plan.h"
#include "model/tensor_visitor.h"

namespace longhaul {

struct MambaWeights {
  MatrixPtr w_in;    // [2 * d_inner, d_model]: of the convolution's input and of the gate
  Floats conv;       // [d_inner, d_conv], the newest token last
  Floats conv_bias;  // [d_inner]
  MatrixPtr w_x;     // [dt_rank + 2 * d_state, d_inner]: of steps, b and c
  MatrixPtr w_dt;    // [d_inner, dt_rank]
  Floats dt_bias;    // [d_inner]
  Floats a;          // [d_inner, d_state], below 0
  Floats d;          // [d_inner]
  MatrixPtr w_out;   // [d_model, d_inner]
};
template <>
struct WeightsOfSpec<MambaSpec> {
  using Type = MambaWeights;
};

void visit_tensors(const MambaSpec& spec, size_t d_model, const std::string& prefix,
                   MambaWeights& weights, TensorVisitor& visitor);

// The slot that its states need, of no layers yet.
SlotSpec slot_of(const MambaSpec& spec);

// The buffers of Mamba, shared by all layers that have it.
class Mamba {
 public:
  Mamba(const ModelPlan& plan, Backend& backend, size_t max_rows);
  // Bytes of the buffers per row.
  static size_t row_bytes(const ModelPlan& plan);

  // pass.product = Mamba of pass.normed; the states of the pass's sequences go on by its rows. With
  // spec.gives_memory what the scan gave stays in pass.memory.
  void run(Pass& pass, const MambaSpec& spec, const MambaWeights& weights);

 private:
  Floats in_;         // [rows, 2 * d_inner]
  Floats convolved_;  // [rows, d_inner]
  Floats choices_;    // [rows, dt_rank + 2 * d_state]
  Floats steps_;      // [rows, d_inner]
  Floats scanned_;    // [rows, d_inner]
};

}  // namespace longhaul
