#include "model/mixers/memory.h"

namespace longhaul {

void visit_tensors(const MemorySpec& spec, size_t d_model, const std::string& prefix,
                   MemoryWeights& weights, TensorVisitor& visitor) {
  visitor.matrix(prefix + "gmu_in.weight", spec.d_inner, d_model, weights.w_in);
  visitor.matrix(prefix + "gmu_out.weight", d_model, spec.d_inner, weights.w_out);
}

MemoryUnit::MemoryUnit(const ModelPlan& plan, Backend& backend, size_t max_rows)
    : gate_(backend.floats(max_rows * memory_width(plan))) {}

size_t MemoryUnit::row_bytes(const ModelPlan& plan) { return memory_width(plan) * sizeof(float); }

void MemoryUnit::run(Pass& pass, const MemorySpec& spec, const MemoryWeights& weights) {
  const MatrixView<float> gate = gate_.rows(pass.n_rows, spec.d_inner);
  pass.prepare_input(pass.normed_rows());
  const Product into = {weights.w_in.get(), gate};
  pass.multiply({&into, 1});
  pass.backend.activate(Activation::kSilu, gate, pass.memory.rows(pass.n_rows, spec.d_inner));
  pass.prepare_input(gate);
  const Product out = {weights.w_out.get(), pass.product_rows()};
  pass.multiply({&out, 1});
}

}  // namespace longhaul
