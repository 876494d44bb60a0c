// Attention with keys and values in pages: which tensors it has, what it keeps of a sequence, and
// how a pass runs it.
#pragma once

#include <array>
#include <string>

#include "model/pass.h"
#include "model/plan.h"
#include "model/tensor_visitor.h"

namespace longhaul {

struct AttentionWeights {
  MatrixPtr wq;       // [n_heads * part_dim, d_model]
  MatrixPtr wk;       // [n_kv_heads * key_dim, d_model]
  MatrixPtr wv;       // [n_kv_heads * value_dim, d_model]
  MatrixPtr wo;       // [d_model, joined_dim]
  Floats bq;          // [n_heads * key_dim], empty without biases
  Floats bk;          // [n_kv_heads * key_dim]
  Floats bv;          // [n_kv_heads * value_dim]
  Floats bo;          // [d_model], empty without
  Floats q_norm;      // [key_dim], or of all heads; empty without QK-norm
  Floats k_norm;      // the same
  Floats kv_norm;     // [d_model], of what k and v are of; empty: the layer's norm is
  MatrixPtr wlambda;  // [n_heads / 2, d_model]; HeadPairs::kSameKeys
  Floats sub_norm;    // [value_dim], of differences; HeadPairs::kTwoParts
  // spec.learns_lambda: q1, k1, q2, k2 [part_dim], and exp(q1 k1) - exp(q2 k2), once they are there.
  std::array<Floats, 4> lambda_vectors;
  float learned_lambda = 0;
};
template <>
struct WeightsOfSpec<AttentionSpec> {
  using Type = AttentionWeights;
};

void visit_tensors(const AttentionSpec& spec, size_t d_model, const std::string& prefix,
                   AttentionWeights& weights, TensorVisitor& visitor);

// Where the spec learns lambda: what the vectors make of it, and the weight of the sub-norm as it is
// used.
void settle_lambda(const AttentionSpec& spec, AttentionWeights& weights, Backend& backend);

// The slot that its keys and values need, of no layers yet.
SlotSpec slot_of(const AttentionSpec& spec);

// The buffers of attention, shared by all layers that have it.
class Attention {
 public:
  Attention(const ModelPlan& plan, Backend& backend, size_t max_rows);
  // Bytes of the buffers per row.
  static size_t row_bytes(const ModelPlan& plan);

  // pass.product = attention of pass.normed, whose keys and values are stored on the way. With
  // RowSet::kWithLogits the pass is narrowed once they are; without a row left that is all.
  void run(Pass& pass, const AttentionSpec& spec, const AttentionWeights& weights, RowSet rows);

 private:
  // One layer of one pass.
  struct Layer {
    Pass& pass;
    const AttentionSpec& spec;
    const AttentionWeights& weights;
  };
  void write_keys(const Layer& layer);
  void project(const Layer& layer, bool queries, bool keys);
  void rotate(const Layer& layer, bool queries, bool keys);
  void store(const Layer& layer);
  MatrixView<float> queries(const Layer& layer);
  MatrixView<float> join(const Layer& layer, MatrixView<float> heads);

  Floats q_;       // [rows, n_heads, part_dim]
  Floats spread_;  // [rows, n_heads, key_dim], where a key has two parts
  Floats k_;       // [rows, n_kv_heads, key_dim]
  Floats v_;       // [rows, n_kv_heads, value_dim]
  Floats lambda_;  // [rows, n_heads / 2]
  Floats out_;     // [rows, n_heads, value_dim]
  Floats joined_;  // [rows, n_heads / 2, value_dim], of pairs
};

}  // namespace longhaul
