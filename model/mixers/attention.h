// Attention with keys and values in pages: which tensors it has, what it keeps of a sequence, and
// how a pass runs it.
#pragma once

#include <string>
#include <vector>

#include "attention/rectify.h"
#include "attention/selector.h"
#include "kernels/attention.h"
#include "model/pass.h"
#include "model/plan.h"
#include "model/tensor_visitor.h"

namespace longhaul {

struct AttentionWeights {
  PackedMatrix wq;              // [n_heads * key_dim, d_model]
  PackedMatrix wk;              // [n_kv_heads * key_dim, d_model]
  PackedMatrix wv;              // [n_kv_heads * value_dim, d_model]
  PackedMatrix wo;              // [d_model, n_heads * value_dim]
  AlignedBuffer<float> bq;      // [n_heads * key_dim], empty without biases
  AlignedBuffer<float> bk;      // [n_kv_heads * key_dim]
  AlignedBuffer<float> bv;      // [n_kv_heads * value_dim]
  AlignedBuffer<float> q_norm;  // [key_dim], or of all heads; empty without QK-norm
  AlignedBuffer<float> k_norm;  // the same
};
template <>
struct WeightsOfSpec<AttentionSpec> {
  using Type = AttentionWeights;
};

void visit_tensors(const AttentionSpec& spec, size_t d_model, const std::string& prefix,
                   AttentionWeights& weights, TensorVisitor& visitor);

// The slot that its keys and values need, of no layers yet.
SlotSpec slot_of(const AttentionSpec& spec);

// The buffers of attention, shared by all layers that have it.
class Attention {
 public:
  Attention(const ModelPlan& plan, size_t max_rows, size_t n_threads);
  // Bytes of the buffers per row.
  static size_t row_bytes(const ModelPlan& plan);

  // Once a pass, before the first layer.
  void begin(Pass& pass);
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
  static KvSequence& cache_of(const Layer& layer, const Step& step);
  void project(const Layer& layer, bool queries, bool keys);
  void rotate(const Layer& layer, bool queries, bool keys);
  void store(const Layer& layer);
  void make_jobs(const Layer& layer);
  void select(const Layer& layer);
  void count_blocks(const Layer& layer);
  void count_attended(const Layer& layer) const;
  SelectionInput selection_input(const Layer& layer, size_t job_index);
  size_t choose_tiles(const Layer& layer, size_t job_index, size_t worker);

  AlignedBuffer<float> q_;    // [rows, n_heads, key_dim]
  AlignedBuffer<float> k_;    // [rows, n_kv_heads, key_dim]
  AlignedBuffer<float> v_;    // [rows, n_kv_heads, value_dim]
  AlignedBuffer<float> out_;  // [rows, n_heads, value_dim]

  std::vector<AttentionJob> jobs_;           // [steps, n_kv_heads]; of steps with rows
  std::vector<size_t> job_steps_;            // as jobs: the step of each
  std::vector<size_t> n_chosen_;             // blocks, as jobs; sparse jobs only
  std::vector<SelectionBuffer> selections_;  // as jobs
  std::vector<SummaryView> summary_views_;   // [jobs, n_summaries]
  // As jobs, once a pass was a partial rectification.
  std::vector<RectifySelection> rectify_selections_;
  AttentionWorkspace workspace_;
  std::vector<AttentionWorkspace> worker_workspaces_;  // for selectors that compute attention
  size_t n_attention_layers_ = 0;
};

}  // namespace longhaul
