// The insides of Model: weights, buffers of one pass, and the stages of run() (forward.cc).
#pragma once

#include <vector>

#include "model/lap_timer.h"
#include "model/model.h"

namespace longhaul {

struct Model::Impl {
  struct Row {
    int32_t token;
    size_t pos;
  };

  Impl(ThreadPool& thread_pool, ModelConfig model_config, ModelWeights model_weights,
       size_t n_max_rows);

  // Checks the steps and makes room for them; those that can run are `active` then.
  void begin(std::span<Step> steps);
  Status check_tokens(const Step& step) const;
  void embed();
  void prepare_summaries();
  void norm(const AlignedBuffer<float>& input, const float* weight);
  void project_qkv(const LayerWeights& w);
  void rotate_and_store(size_t layer, const LayerWeights& w);
  void select_blocks(size_t layer);
  SelectionInput selection_input(const Step& step, size_t layer, size_t job_index);
  void select_for_job(const Step& step, size_t layer, size_t job_index, size_t worker);
  size_t choose_tiles(const Step& step, const SelectionInput& input, size_t job_index,
                      size_t worker);
  void add_product(const AlignedBuffer<float>& input, size_t n_in, const PackedMatrix& w);
  void feed_forward(const LayerWeights& w);
  void project_logits(MatrixView<float> logits);
  // Adds what the jobs of one layer attend to.
  void count_attended(PassTimes& times) const;

  ThreadPool& pool;
  ModelConfig config;
  ModelWeights weights;
  RopeTable rope;
  size_t max_rows;
  LapTimer timer;

  // One pass. Rows are the tokens of all active steps, one after another.
  std::vector<Step*> active;
  std::vector<Row> rows;
  std::vector<size_t> step_rows;       // first row of each active step
  AlignedBuffer<float> x;              // [rows, d_model], residual stream
  AlignedBuffer<float> normed;         // [rows, d_model]
  AlignedBuffer<float> product;        // [rows, d_model]
  AlignedBuffer<float> q;              // [rows, n_heads, head_dim]
  AlignedBuffer<float> k;              // [rows, n_kv_heads, head_dim]
  AlignedBuffer<float> v;              // [rows, n_kv_heads, head_dim]
  AlignedBuffer<float> attention_out;  // [rows, n_heads, head_dim]
  AlignedBuffer<float> gate;           // [rows, d_ff]
  AlignedBuffer<float> up;             // [rows, d_ff]
  AlignedBuffer<float> cos;            // [rows, rope.dim / 2]
  AlignedBuffer<float> sin;            // [rows, rope.dim / 2]
  Activations activations;             // of the product being computed

  std::vector<AttentionJob> jobs;           // [active steps, n_kv_heads]
  std::vector<SelectionBuffer> selections;  // as jobs
  std::vector<SummaryView> summary_views;   // [jobs, n_summaries]
  // [n_summaries] [rows, n_row_floats()], of the rows that selectors look at.
  std::vector<AlignedBuffer<float>> summary_rows;
  std::vector<RectifySelection>
      rectify_selections;        // as jobs, once a pass was a partial rectification
  std::vector<size_t> n_chosen;  // blocks, as jobs; sparse jobs only
  AttentionWorkspace attention_workspace;
  std::vector<AttentionWorkspace> worker_workspaces;  // for selectors that compute attention
};

}  // namespace longhaul
