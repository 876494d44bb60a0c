#include "model/mixers/attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "model/weights.h"

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

// One tensor: q, k, v.
void visit_fused(const AttentionSpec& spec, size_t d_model, const std::string& name,
                 AttentionWeights& weights, TensorVisitor& visitor) {
  const size_t n_q = spec.q_proj_dim(), n_k = spec.k_dim(), n_v = spec.v_dim();
  const size_t n_rows = spec.writes ? n_q + n_k + n_v : n_q;
  const TensorPart q{.n_rows = n_rows, .first = 0, .head_rows = spec.part_dim()};
  const TensorPart k{.n_rows = n_rows, .first = n_q, .head_rows = spec.part_dim()};
  const TensorPart v{.n_rows = n_rows, .first = n_q + n_k};
  visitor.matrix_part(name + ".weight", q, n_q, d_model, weights.wq);
  if (spec.writes) {
    visitor.matrix_part(name + ".weight", k, n_k, d_model, weights.wk);
    visitor.matrix_part(name + ".weight", v, n_v, d_model, weights.wv);
  }
  if (!spec.bias) return;
  visitor.vector_part(name + ".bias", q, n_q, weights.bq);
  if (!spec.writes) return;
  visitor.vector_part(name + ".bias", k, n_k, weights.bk);
  visitor.vector_part(name + ".bias", v, n_v, weights.bv);
}

double dot(const Floats& a, const Floats& b, Backend& backend) {
  const std::vector<float> x = numbers_of(a, backend), y = numbers_of(b, backend);
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i)
    sum += static_cast<double>(x[i]) * static_cast<double>(y[i]);
  return sum;
}

}  // namespace

void settle_lambda(const AttentionSpec& spec, AttentionWeights& weights, Backend& backend) {
  if (!spec.learns_lambda) return;
  const auto& [q1, k1, q2, k2] = weights.lambda_vectors;
  weights.learned_lambda =
      static_cast<float>(std::exp(dot(q1, k1, backend)) - std::exp(dot(q2, k2, backend)));
  std::vector<float> norm = numbers_of(weights.sub_norm, backend);
  for (float& number : norm) number *= 1 - spec.lambda;
  weights.sub_norm = backend.floats_of(norm);
}

void visit_tensors(const AttentionSpec& spec, size_t d_model, const std::string& prefix,
                   AttentionWeights& weights, TensorVisitor& visitor) {
  if (spec.is_fused) {
    visit_fused(spec, d_model, prefix + "attn_qkv", weights, visitor);
  } else {
    visitor.matrix(prefix + "attn_q.weight", spec.q_proj_dim(), d_model, weights.wq);
  }
  if (spec.writes && !spec.is_fused) {
    if (spec.kv_norm) visitor.vector(prefix + "attn_kv_norm.weight", d_model, weights.kv_norm);
    visitor.matrix(prefix + "attn_k.weight", spec.k_dim(), d_model, weights.wk);
    visitor.matrix(prefix + "attn_v.weight", spec.v_dim(), d_model, weights.wv);
  }
  visitor.matrix(prefix + "attn_output.weight", d_model, spec.joined_dim(), weights.wo);
  if (spec.out_bias) visitor.vector(prefix + "attn_output.bias", d_model, weights.bo);
  if (spec.pairs == HeadPairs::kSameKeys)
    visitor.matrix(prefix + "attn_lambda.weight", spec.n_heads / 2, d_model, weights.wlambda);
  if (spec.learns_lambda) {
    constexpr const char* kNames[] = {"q1", "k1", "q2", "k2"};
    for (size_t i = 0; i < weights.lambda_vectors.size(); ++i) {
      visitor.vector(fmt::format("{}attn_lambda_{}.weight", prefix, kNames[i]), spec.part_dim(),
                     weights.lambda_vectors[i]);
    }
    visitor.vector(prefix + "attn_subln.weight", spec.value_dim, weights.sub_norm);
  } else if (spec.pairs == HeadPairs::kTwoParts) {
    visitor.vector(prefix + "attn_sub_norm.weight", spec.value_dim, weights.sub_norm);
  }
  if (spec.bias && !spec.is_fused) {
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
  const Product product = {weights.wo.get(), pass.product_rows(), &weights.bo};
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
  Lambda lambda{.value = spec.lambda + layer.weights.learned_lambda};
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
