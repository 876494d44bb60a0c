#include "model/mixers/attention.h"

#include <algorithm>

namespace longhaul {
namespace {

// The most that any attention of the plan needs.
struct Widths {
  size_t q = 0, k = 0, v = 0, out = 0;

  explicit Widths(const ModelPlan& plan) {
    for (const LayerSpec& layer : plan.layers) {
      const auto* spec = std::get_if<AttentionSpec>(&layer.mixer);
      if (spec == nullptr) continue;
      q = std::max(q, spec->q_dim());
      k = std::max(k, spec->k_dim());
      v = std::max(v, spec->v_dim());
      out = std::max(out, spec->out_dim());
    }
  }
};

}  // namespace

void visit_tensors(const AttentionSpec& spec, size_t d_model, const std::string& prefix,
                   AttentionWeights& weights, TensorVisitor& visitor) {
  visitor.matrix(prefix + "attn_q.weight", spec.q_dim(), d_model, weights.wq);
  if (spec.writes) {
    visitor.matrix(prefix + "attn_k.weight", spec.k_dim(), d_model, weights.wk);
    visitor.matrix(prefix + "attn_v.weight", spec.v_dim(), d_model, weights.wv);
  }
  visitor.matrix(prefix + "attn_output.weight", d_model, spec.out_dim(), weights.wo);
  if (spec.bias) {
    visitor.vector(prefix + "attn_q.bias", spec.q_dim(), weights.bq);
    if (spec.writes) {
      visitor.vector(prefix + "attn_k.bias", spec.k_dim(), weights.bk);
      visitor.vector(prefix + "attn_v.bias", spec.v_dim(), weights.bv);
    }
  }
  if (spec.qk_norm == QkNorm::kNone) return;
  const bool each = spec.qk_norm == QkNorm::kHead;
  visitor.vector(prefix + "attn_q_norm.weight", each ? spec.key_dim : spec.q_dim(), weights.q_norm);
  if (spec.writes) {
    visitor.vector(prefix + "attn_k_norm.weight", each ? spec.key_dim : spec.k_dim(),
                   weights.k_norm);
  }
}

SlotSpec slot_of(const AttentionSpec& spec) {
  return PagedSlot{.n_kv_heads = spec.n_kv_heads,
                   .key_dim = spec.key_dim,
                   .value_dim = spec.value_dim,
                   .window = spec.window};
}

Attention::Attention(const ModelPlan& plan, Backend& backend, size_t max_rows) {
  const Widths widths(plan);
  q_ = backend.floats(max_rows * widths.q);
  k_ = backend.floats(max_rows * widths.k);
  v_ = backend.floats(max_rows * widths.v);
  out_ = backend.floats(max_rows * widths.out);
}

size_t Attention::row_bytes(const ModelPlan& plan) {
  const Widths widths(plan);
  return (widths.q + widths.k + widths.v + widths.out) * sizeof(float);
}

void Attention::run(Pass& pass, const AttentionSpec& spec, const AttentionWeights& weights,
                    RowSet rows) {
  const Layer layer{pass, spec, weights};
  const bool narrows = rows == RowSet::kWithLogits && pass.can_narrow();
  pass.prepare_input(pass.normed_rows());
  if (narrows) {
    if (spec.writes) {
      project(layer, false, true);
      rotate(layer, false, true);
      store(layer);
    }
    pass.narrow();
    if (pass.n_rows == 0) return;
    pass.prepare_input(pass.normed_rows());
    project(layer, true, false);
    rotate(layer, true, false);
  } else {
    project(layer, true, spec.writes);
    rotate(layer, true, spec.writes);
    if (spec.writes) store(layer);
  }
  const MatrixView<float> out = out_.rows(pass.n_rows, spec.out_dim());
  pass.backend.attend(pass, spec, q_.rows(pass.n_rows, spec.q_dim()), out);
  pass.prepare_input(out);
  const Product product = {weights.wo.get(), pass.product_rows()};
  pass.multiply({&product, 1});
}

// q, or k and v, or all three at once.
void Attention::project(const Layer& layer, bool queries, bool keys) {
  Pass& pass = layer.pass;
  const AttentionSpec& spec = layer.spec;
  const AttentionWeights& w = layer.weights;
  const size_t n = pass.n_rows;
  const Product products[] = {
      {w.wq.get(), q_.rows(n, spec.q_dim()), &w.bq},
      {w.wk.get(), k_.rows(n, spec.k_dim()), &w.bk},
      {w.wv.get(), v_.rows(n, spec.v_dim()), &w.bv},
  };
  const std::span<const Product> all(products);
  pass.multiply(queries ? all.first(keys ? 3 : 1) : all.last(2));
}

// QK-norm, then RoPE, where the layer has them.
void Attention::rotate(const Layer& layer, bool queries, bool keys) {
  Pass& pass = layer.pass;
  const AttentionSpec& spec = layer.spec;
  const AttentionWeights& w = layer.weights;
  if (!spec.rope && spec.qk_norm == QkNorm::kNone) return;
  const Angles angles = spec.rope ? pass.angles(*spec.rope) : Angles();
  const Angles* const turn = spec.rope ? &angles : nullptr;
  const size_t n = pass.n_rows;
  const HeadRows heads[] = {
      {q_.rows(n, spec.q_dim()), spec.key_dim, &w.q_norm, turn},
      {k_.rows(n, spec.k_dim()), spec.key_dim, &w.k_norm, turn},
  };
  const std::span<const HeadRows> all(heads);
  pass.backend.rotate(queries ? all.first(keys ? 2 : 1) : all.last(1), pass.plan.norm_eps);
}

void Attention::store(const Layer& layer) {
  Pass& pass = layer.pass;
  const AttentionSpec& spec = layer.spec;
  pass.backend.store(pass, spec, k_.rows(pass.n_rows, spec.k_dim()),
                     v_.rows(pass.n_rows, spec.v_dim()));
}

}  // namespace longhaul
