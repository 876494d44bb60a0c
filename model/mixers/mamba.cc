#include "model/mixers/mamba.h"

#include <algorithm>

namespace longhaul {
namespace {

// The most that any Mamba of the plan needs.
struct Widths {
  size_t inner = 0, choices = 0;

  explicit Widths(const ModelPlan& plan) {
    for (const LayerSpec& layer : plan.layers) {
      const auto* spec = std::get_if<MambaSpec>(&layer.mixer);
      if (spec == nullptr) continue;
      inner = std::max(inner, spec->d_inner);
      choices = std::max(choices, spec->dt_rank + 2 * spec->d_state);
    }
  }
  size_t all() const { return 5 * inner + choices; }
};

// Columns [first, first + n) of a buffer.
MatrixView<float> columns(MatrixView<float> from, size_t first, size_t n) {
  MatrixView<float> part(from.data + first, from.n_rows, n);
  part.stride = from.stride;
  return part;
}

}  // namespace

void visit_tensors(const MambaSpec& spec, size_t d_model, const std::string& prefix,
                   MambaWeights& weights, TensorVisitor& visitor) {
  visitor.matrix(prefix + "ssm_in.weight", 2 * spec.d_inner, d_model, weights.w_in);
  visitor.numbers(prefix + "ssm_conv1d.weight", spec.d_inner, spec.d_conv, weights.conv);
  visitor.vector(prefix + "ssm_conv1d.bias", spec.d_inner, weights.conv_bias);
  visitor.matrix(prefix + "ssm_x.weight", spec.dt_rank + 2 * spec.d_state, spec.d_inner,
                 weights.w_x);
  visitor.router(prefix + "ssm_dt.weight", spec.d_inner, spec.dt_rank, weights.w_dt);
  visitor.vector(prefix + "ssm_dt.bias", spec.d_inner, weights.dt_bias);
  visitor.numbers(prefix + "ssm_a", spec.d_inner, spec.d_state, weights.a);
  visitor.vector(prefix + "ssm_d", spec.d_inner, weights.d);
  visitor.matrix(prefix + "ssm_out.weight", d_model, spec.d_inner, weights.w_out);
}

SlotSpec slot_of(const MambaSpec& spec) { return RecurrentSlot{.n_floats = spec.n_floats()}; }

Mamba::Mamba(const ModelPlan& plan, Backend& backend, size_t max_rows) {
  const Widths widths(plan);
  in_ = backend.floats(max_rows * 2 * widths.inner);
  convolved_ = backend.floats(max_rows * widths.inner);
  choices_ = backend.floats(max_rows * widths.choices);
  steps_ = backend.floats(max_rows * widths.inner);
  scanned_ = backend.floats(max_rows * widths.inner);
}

size_t Mamba::row_bytes(const ModelPlan& plan) { return Widths(plan).all() * sizeof(float); }

void Mamba::run(Pass& pass, const MambaSpec& spec, const MambaWeights& weights) {
  const size_t n = pass.n_rows;
  const MatrixView<float> in = in_.rows(n, 2 * spec.d_inner);
  const MatrixView<float> u = columns(in, 0, spec.d_inner);
  const MatrixView<float> gate = columns(in, spec.d_inner, spec.d_inner);
  pass.prepare_input(pass.normed_rows());
  const Product into = {weights.w_in.get(), in};
  pass.multiply({&into, 1});

  const MatrixView<float> x = convolved_.rows(n, spec.d_inner);
  pass.backend.convolve(pass, spec, u, weights.conv, weights.conv_bias, x);

  const MatrixView<float> choices = choices_.rows(n, spec.dt_rank + 2 * spec.d_state);
  pass.prepare_input(x);
  const Product choose = {weights.w_x.get(), choices};
  pass.multiply({&choose, 1});
  const MatrixView<float> steps = steps_.rows(n, spec.d_inner);
  pass.prepare_input(columns(choices, 0, spec.dt_rank));
  const Product step = {weights.w_dt.get(), steps};
  pass.multiply({&step, 1});

  const MatrixView<float> scanned =
      (spec.gives_memory ? pass.memory : scanned_).rows(n, spec.d_inner);
  pass.backend.scan(pass, spec,
                    {.step = steps,
                     .x = x,
                     .b = columns(choices, spec.dt_rank, spec.d_state),
                     .c = columns(choices, spec.dt_rank + spec.d_state, spec.d_state),
                     .step_bias = &weights.dt_bias,
                     .a = &weights.a,
                     .d = &weights.d},
                    scanned);
  pass.backend.activate(Activation::kSilu, gate, scanned);
  pass.prepare_input(gate);
  const Product out = {weights.w_out.get(), pass.product_rows()};
  pass.multiply({&out, 1});
}

}  // namespace longhaul
