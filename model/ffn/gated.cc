#include "model/ffn/gated.h"

#include <algorithm>

#include "kernels/ops.h"

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
  visitor.matrix(prefix + "ffn_gate.weight", spec.d_ff, d_model, weights.w_gate);
  visitor.matrix(prefix + "ffn_up.weight", spec.d_ff, d_model, weights.w_up);
  visitor.matrix(prefix + "ffn_down.weight", d_model, spec.d_ff, weights.w_down);
}

void activate(Activation activation, const float* gate, const float* up, size_t n, float* out) {
  switch (activation) {
    case Activation::kSilu:
      silu_mul(gate, up, n, out);
      break;
    case Activation::kGelu:
      gelu_mul(gate, up, n, out);
      break;
  }
}

Gated::Gated(const ModelPlan& plan, size_t max_rows)
    : gate_(max_rows * widest(plan)), up_(max_rows * widest(plan)) {}

size_t Gated::row_bytes(const ModelPlan& plan) { return 2 * widest(plan) * sizeof(float); }

void Gated::run(Pass& pass, const GatedSpec& spec, const GatedWeights& weights) {
  const size_t n = pass.n_rows;
  const size_t d_ff = spec.d_ff;
  pass.prepare_input(pass.normed_rows());
  const MatmulTask tasks[] = {
      {&weights.w_gate, MatrixView<float>(gate_.data(), n, d_ff), nullptr},
      {&weights.w_up, MatrixView<float>(up_.data(), n, d_ff), nullptr},
  };
  pass.multiply(tasks);
  pass.for_each_row([&](size_t r, size_t) {
    float* gate = gate_.data() + r * d_ff;
    activate(spec.activation, gate, up_.data() + r * d_ff, d_ff, gate);
  });
  pass.prepare_input(MatrixView<const float>(gate_.data(), n, d_ff));
  const MatmulTask down = {&weights.w_down, pass.product_rows(), nullptr};
  pass.multiply({&down, 1});
}

}  // namespace longhaul
