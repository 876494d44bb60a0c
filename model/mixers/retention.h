// Retention: which tensors it has, what it keeps of a sequence, and how a pass runs it.
#pragma once

#include <string>

#include "model/pass.h"
#include "model/plan.h"
#include "model/tensor_visitor.h"

namespace longhaul {

struct RetentionWeights {
  MatrixPtr wq;      // [n_heads * key_dim, d_model]
  MatrixPtr wk;      // [n_heads * key_dim, d_model]
  MatrixPtr wv;      // [n_heads * value_dim, d_model]
  MatrixPtr wg;      // [n_heads * value_dim, d_model]
  MatrixPtr wdecay;  // [n_heads, d_model]; null where decays are fixed
  MatrixPtr wo;      // [d_model, n_heads * value_dim]
};
template <>
struct WeightsOfSpec<RetentionSpec> {
  using Type = RetentionWeights;
};

void visit_tensors(const RetentionSpec& spec, size_t d_model, const std::string& prefix,
                   RetentionWeights& weights, TensorVisitor& visitor);

// The slot that its states need, of no layers yet.
SlotSpec slot_of(const RetentionSpec& spec);

// The buffers of retention, shared by all layers that have it.
class Retention {
 public:
  Retention(const ModelPlan& plan, Backend& backend, size_t max_rows);
  // Bytes of the buffers per row.
  static size_t row_bytes(const ModelPlan& plan);

  // pass.product = retention of pass.normed; the states of the pass's sequences go on by its rows.
  void run(Pass& pass, const RetentionSpec& spec, const RetentionWeights& weights);

 private:
  Floats q_, k_;     // [rows, n_heads, key_dim]
  Floats v_, gate_;  // [rows, n_heads, value_dim]
  Floats decay_;     // [rows, n_heads]
  Floats out_;       // [rows, n_heads, value_dim]
  Floats ones_;      // [value_dim], the weight of a norm that has none
};

}  // namespace longhaul
