#include "model/ffn/gated.h"

#include <algorithm>

namespace longhaul {
namespace {

size_t widest(const ModelPlan& plan) {
  size_t d_ff = 0;
  for (const LayerSpec& layer : plan.layers) {
    if (const auto* spec = std::get_if<GatedSpec>(&layer.ffn)) d_ff = std::max(d_ff, spec->d_ff);
  }
  return d_ff;
}

}  // namespace

void visit_tensors(const GatedSpec& spec, size_t d_model, const std::string& prefix,
                   GatedWeights& weights, TensorVisitor& visitor) {
  if (spec.is_fused) {
    const std::string name = prefix + "ffn_up.weight";
    visitor.matrix_part(name, {.n_rows = 2 * spec.d_ff}, spec.d_ff, d_model, weights.w_gate);
    visitor.matrix_part(name, {.n_rows = 2 * spec.d_ff, .first = spec.d_ff}, spec.d_ff, d_model,
                        weights.w_up);
  } else {
    visitor.matrix(prefix + "ffn_gate.weight", spec.d_ff, d_model, weights.w_gate);
    visitor.matrix(prefix + "ffn_up.weight", spec.d_ff, d_model, weights.w_up);
  }
  visitor.matrix(prefix + "ffn_down.weight", d_model, spec.d_ff, weights.w_down);
}

Gated::Gated(const ModelPlan& plan, Backend& backend, size_t max_rows)
    : gate_(backend.floats(max_rows * widest(plan))),
      up_(backend.floats(max_rows * widest(plan))) {}

size_t Gated::row_bytes(const ModelPlan& plan) { return 2 * widest(plan) * sizeof(float); }

void Gated::run(Pass& pass, const GatedSpec& spec, const GatedWeights& weights) {
  const MatrixView<float> gate = gate_.rows(pass.n_rows, spec.d_ff);
  const MatrixView<float> up = up_.rows(pass.n_rows, spec.d_ff);
  pass.prepare_input(pass.normed_rows());
  const Product products[] = {{weights.w_gate.get(), gate}, {weights.w_up.get(), up}};
  pass.multiply(products);
  pass.backend.activate(spec.activation, gate, up);
  pass.prepare_input(gate);
  const Product down = {weights.w_down.get(), pass.product_rows()};
  pass.multiply({&down, 1});
}

}  // namespace longhaul
