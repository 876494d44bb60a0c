#include "model/mixers/attention.h"

#include <algorithm>

namespace longhaul {
namespace {

// The most that any attention of the plan needs, in numbers a row.
struct Widths {
  size_t q = 0, spread = 0, k = 0, v = 0, lambda = 0, out = 0, joined = 0;

  explicit Widths(const ModelPlan& plan) {
    for (const LayerSpec& layer : plan.layers) {
      const auto* spec = std::get_if<AttentionSpec>(&layer.mixer);
      if (spec == nullptr) continue;
      q = std::max(q, spec->q_proj_dim());
      k = std::max(k, spec->k_dim());
      v = std::max(v, spec->v_dim());
      out = std::max(out, spec->out_dim());
      if (spec->pairs == HeadPairs::kNone) continue;
      joined = std::max(joined, spec->joined_dim());
      if (spec->pairs == HeadPairs::kTwoParts) spread = std::max(spread, spec->q_dim());
      if (spec->pairs == HeadPairs::kSameKeys) lambda = std::max(lambda, spec->n_heads / 2);
    }
  }
  size_t all() const { return q + spread + k + v + lambda + out + joined; }
};

}  // namespace

void visit_tensors(const AttentionSpec& spec, size_t d_model, const std::string& prefix,
                   AttentionWeights& weights, TensorVisitor& visitor) {
  visitor.matrix(prefix + "attn_q.weight", spec.q_proj_dim(), d_model, weights.wq);
  if (spec.writes) {
    if (spec.kv_norm) visitor.vector(prefix + "attn_kv_norm.weight", d_model, weights.kv_norm);
    visitor.matrix(prefix + "attn_k.weight", spec.k_dim(), d_model, weights.wk);
    visitor.matrix(prefix + "attn_v.weight", spec.v_dim(), d_model, weights.wv);
  }
  visitor.matrix(prefix + "attn_output.weight", d_model, spec.joined_dim(), weights.wo);
  if (spec.pairs == HeadPairs::kSameKeys)
    visitor.matrix(prefix + "attn_lambda.weight", spec.n_heads / 2, d_model, weights.wlambda);
  if (spec.pairs == HeadPairs::kTwoParts)
    visitor.vector(prefix + "attn_sub_norm.weight", spec.value_dim, weights.sub_norm);
  if (spec.bias) {
    visitor.vector(prefix + "attn_q.bias", spec.q_proj_dim(), weights.bq);
    if (spec.writes) {
      visitor.vector(prefix + "attn_k.bias", spec.k_dim(), weights.bk);
      visitor.vector(prefix + "attn_v.bias", spec.v_dim(), weights.bv);
    }
  }
  if (spec.qk_norm == QkNorm::kNone) return;
  const bool each = spec.qk_norm == QkNorm::kHead;
  visitor.vector(prefix + "attn_q_norm.weight", each ? spec.part_dim() : spec.q_proj_dim(),
                 weights.q_norm);
  if (spec.writes) {
    visitor.vector(prefix + "attn_k_norm.weight", each ? spec.part_dim() : spec.k_dim(),
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
  spread_ = backend.floats(max_rows * widths.spread);
  k_ = backend.floats(max_rows * widths.k);
  v_ = backend.floats(max_rows * widths.v);
  lambda_ = backend.floats(max_rows * widths.lambda);
  out_ = backend.floats(max_rows * widths.out);
  joined_ = backend.floats(max_rows * widths.joined);
}

size_t Attention::row_bytes(const ModelPlan& plan) { return Widths(plan).all() * sizeof(float); }

void Attention::run(Pass& pass, const AttentionSpec& spec, const AttentionWeights& weights,
                    RowSet rows) {
  const Layer layer{pass, spec, weights};
  const bool narrows = rows == RowSet::kWithLogits && pass.can_narrow();
  if (narrows || spec.kv_norm) {
    if (spec.writes) write_keys(layer);
    if (narrows) pass.narrow();
    if (pass.n_rows == 0) return;
    pass.prepare_input(pass.normed_rows());
    project(layer, true, false);
    rotate(layer, true, false);
  } else {
    pass.prepare_input(pass.normed_rows());
    project(layer, true, spec.writes);
    rotate(layer, true, spec.writes);
    if (spec.writes) store(layer);
  }
  const MatrixView<float> heads = out_.rows(pass.n_rows, spec.out_dim());
  pass.backend.attend(pass, spec, queries(layer), heads);
  pass.prepare_input(join(layer, heads));
  const Product product = {weights.wo.get(), pass.product_rows()};
  pass.multiply({&product, 1});
}

// Keys and values alone, of all rows.
void Attention::write_keys(const Layer& layer) {
  Pass& pass = layer.pass;
  MatrixView<float> input = pass.normed_rows();
  if (layer.spec.kv_norm) {
    input = pass.product_rows();  // free until the layer's own product
    pass.backend.norm(pass.x_rows(), layer.weights.kv_norm, pass.plan.norm_eps, input);
  }
  pass.prepare_input(input);
  project(layer, false, true);
  rotate(layer, false, true);
  store(layer);
}

// q and what goes with it, or k and v, or all at once.
void Attention::project(const Layer& layer, bool queries, bool keys) {
  Pass& pass = layer.pass;
  const AttentionSpec& spec = layer.spec;
  const AttentionWeights& w = layer.weights;
  const size_t n = pass.n_rows;
  const Product products[] = {
      {w.wk.get(), k_.rows(n, spec.k_dim()), &w.bk},
      {w.wv.get(), v_.rows(n, spec.v_dim()), &w.bv},
      {w.wq.get(), q_.rows(n, spec.q_proj_dim()), &w.bq},
      {w.wlambda.get(), lambda_.rows(n, spec.n_heads / 2)},
  };
  const size_t n_queries = spec.pairs == HeadPairs::kSameKeys ? 2 : 1;
  pass.multiply(
      std::span(products).subspan(keys ? 0 : 2, (keys ? 2 : 0) + (queries ? n_queries : 0)));
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
      {q_.rows(n, spec.q_proj_dim()), spec.part_dim(), &w.q_norm, turn},
      {k_.rows(n, spec.k_dim()), spec.part_dim(), &w.k_norm, turn},
  };
  const std::span<const HeadRows> all(heads);
  pass.backend.rotate(queries ? all.first(keys ? 2 : 1) : all.last(1), pass.plan.norm_eps);
}

void Attention::store(const Layer& layer) {
  Pass& pass = layer.pass;
  const AttentionSpec& spec = layer.spec;
  const MatrixView<float> k = k_.rows(pass.n_rows, spec.k_dim());
  if (spec.xpos_base > 0) pass.backend.decay_keys(pass, spec, k);
  pass.backend.store(pass, spec, k, v_.rows(pass.n_rows, spec.v_dim()));
}

// As attend() wants them.
MatrixView<float> Attention::queries(const Layer& layer) {
  const AttentionSpec& spec = layer.spec;
  const MatrixView<float> q = q_.rows(layer.pass.n_rows, spec.q_proj_dim());
  if (spec.pairs != HeadPairs::kTwoParts) return q;
  const MatrixView<float> spread = spread_.rows(layer.pass.n_rows, spec.q_dim());
  layer.pass.backend.spread_parts(q, spec.part_dim(), spread);
  return spread;
}

// What the output matrix reads of the heads' outputs.
MatrixView<float> Attention::join(const Layer& layer, MatrixView<float> heads) {
  Pass& pass = layer.pass;
  const AttentionSpec& spec = layer.spec;
  if (spec.pairs == HeadPairs::kNone) return heads;
  const MatrixView<float> joined = joined_.rows(pass.n_rows, spec.joined_dim());
  Lambda lambda{.value = spec.lambda};
  if (spec.pairs == HeadPairs::kSameKeys)
    lambda.gates = lambda_.rows(pass.n_rows, spec.n_heads / 2);
  pass.backend.subtract_pairs(heads, spec.value_dim, lambda, joined);
  if (spec.pairs == HeadPairs::kTwoParts) {
    const HeadRows normed = {joined, spec.value_dim, &layer.weights.sub_norm, nullptr};
    pass.backend.rotate({&normed, 1}, pass.plan.norm_eps);
  }
  return joined;
}

}  // namespace longhaul
