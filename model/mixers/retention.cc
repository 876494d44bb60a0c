#include "model/mixers/retention.h"

#include <algorithm>

#include "base/check.h"

namespace longhaul {
namespace {

// The most that any retention of the plan needs.
struct Widths {
  size_t k = 0, v = 0, heads = 0, head = 0;  // head: numbers of a value

  explicit Widths(const ModelPlan& plan) {
    for (const LayerSpec& layer : plan.layers) {
      const auto* spec = std::get_if<RetentionSpec>(&layer.mixer);
      if (spec == nullptr) continue;
      k = std::max(k, spec->k_dim());
      v = std::max(v, spec->v_dim());
      heads = std::max(heads, spec->n_heads);
      head = std::max(head, spec->value_dim);
    }
  }
};

}  // namespace

void visit_tensors(const RetentionSpec& spec, size_t d_model, const std::string& prefix,
                   RetentionWeights& weights, TensorVisitor& visitor) {
  visitor.matrix(prefix + "attn_q.weight", spec.k_dim(), d_model, weights.wq);
  visitor.matrix(prefix + "attn_k.weight", spec.k_dim(), d_model, weights.wk);
  visitor.matrix(prefix + "attn_v.weight", spec.v_dim(), d_model, weights.wv);
  visitor.matrix(prefix + "attn_gate.weight", spec.v_dim(), d_model, weights.wg);
  if (spec.is_gated())
    visitor.router(prefix + "attn_decay.weight", spec.n_heads, d_model, weights.wdecay);
  visitor.matrix(prefix + "attn_output.weight", d_model, spec.v_dim(), weights.wo);
}

SlotSpec slot_of(const RetentionSpec& spec) {
  return RecurrentSlot{.n_floats = spec.n_heads * spec.key_dim * spec.value_dim};
}

Retention::Retention(const ModelPlan& plan, Backend& backend, size_t max_rows) {
  const Widths widths(plan);
  q_ = backend.floats(max_rows * widths.k);
  k_ = backend.floats(max_rows * widths.k);
  v_ = backend.floats(max_rows * widths.v);
  gate_ = backend.floats(max_rows * widths.v);
  decay_ = backend.floats(max_rows * widths.heads);
  out_ = backend.floats(max_rows * widths.v);
  ones_ = backend.floats_of(std::vector<float>(widths.head, 1.0F));
}

size_t Retention::row_bytes(const ModelPlan& plan) {
  const Widths widths(plan);
  return (2 * widths.k + 3 * widths.v + widths.heads) * sizeof(float);
}

void Retention::run(Pass& pass, const RetentionSpec& spec, const RetentionWeights& weights) {
  const size_t n = pass.n_rows;
  const MatrixView<float> q = q_.rows(n, spec.k_dim()), k = k_.rows(n, spec.k_dim());
  const MatrixView<float> v = v_.rows(n, spec.v_dim()), gate = gate_.rows(n, spec.v_dim());
  const MatrixView<float> decay = decay_.rows(n, spec.n_heads), out = out_.rows(n, spec.v_dim());
  pass.prepare_input(pass.normed_rows());
  const Product products[] = {{weights.wq.get(), q},
                              {weights.wk.get(), k},
                              {weights.wv.get(), v},
                              {weights.wg.get(), gate},
                              {weights.wdecay.get(), decay}};
  pass.multiply(std::span(products).first(spec.is_gated() ? 5 : 4));
  const float eps = pass.plan.norm_eps;
  if (spec.rope) {
    const Angles angles = pass.angles(*spec.rope);
    const HeadRows heads[] = {{q, spec.key_dim, nullptr, &angles},
                              {k, spec.key_dim, nullptr, &angles}};
    pass.backend.rotate(heads, eps);
  }
  pass.backend.retain(pass, spec, q, k, v, decay, out);
  LH_CHECK(ones_.size() == spec.value_dim);
  const HeadRows normed = {out, spec.value_dim, &ones_, nullptr};
  pass.backend.rotate({&normed, 1}, eps);
  pass.backend.activate(Activation::kSilu, gate, out);
  pass.prepare_input(gate);
  const Product product = {weights.wo.get(), pass.product_rows()};
  pass.multiply({&product, 1});
}

}  // namespace longhaul
