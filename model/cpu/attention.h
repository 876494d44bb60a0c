// Selection and attention of a pass on the host: which blocks each sparse step reads, and softmax
// over them.
#pragma once

#include <vector>

#include "attention/rectify.h"
#include "attention/selector.h"
#include "base/aligned_buffer.h"
#include "base/function_ref.h"
#include "base/matrix_view.h"
#include "kernels/attention.h"
#include "model/plan.h"
#include "model/step.h"
#include "parallel/thread_pool.h"

namespace longhaul {

class Pass;

class CpuAttention {
 public:
  explicit CpuAttention(ThreadPool& pool) : pool_(pool), worker_workspaces_(pool.n_threads()) {}

  // The operations of a backend of these names.
  void begin(Pass& pass);
  void store(const Pass& pass, const AttentionSpec& spec, MatrixView<const float> k,
             MatrixView<const float> v);
  void decay_keys(const Pass& pass, const AttentionSpec& spec, MatrixView<float> k);
  void attend(Pass& pass, const AttentionSpec& spec, MatrixView<const float> q,
              MatrixView<float> out);

  // What it holds by row of the pass, for rows that move.
  void for_each_row_buffer(FunctionRef<void(float* data, size_t width)> visit);

 private:
  // One layer of one pass.
  struct Layer {
    Pass& pass;
    const AttentionSpec& spec;
  };
  // What selectors need of the positions of rows that they will look at.
  struct SelectorRows {
    size_t n_floats = 0;          // of a row
    AlignedBuffer<float> floats;  // [rows, n_floats]
  };
  // What a job reads.
  struct Choice {
    bool all_tiles = true;
    std::span<const TileRef> tiles;
  };
  void choose(const Layer& layer);
  void attend_decayed(const Layer& layer, MatrixView<const float> q);
  void make_jobs(const Layer& layer, MatrixView<const float> q, MatrixView<float> out);
  void select(const Layer& layer);
  void count_blocks(const Layer& layer);
  void count_attended(const Layer& layer) const;
  SelectionInput selection_input(const Layer& layer, size_t job_index);
  size_t choose_tiles(const Layer& layer, size_t job_index, size_t worker);

  ThreadPool& pool_;
  std::vector<SelectorRows> selector_rows_;  // as the summaries of slot 0
  std::vector<AttentionJob> jobs_;           // [steps, n_kv_heads]; of steps with rows
  std::vector<size_t> job_steps_;            // as jobs: the step of each
  std::vector<size_t> n_chosen_;             // blocks, as jobs; sparse jobs only
  std::vector<SelectionBuffer> selections_;  // as jobs
  std::vector<Choice> choices_;              // as jobs, of the layer that chose last
  std::vector<SummaryView> summary_views_;   // [jobs, n_summaries]
  // As jobs, once a pass was a partial rectification.
  std::vector<RectifySelection> rectify_selections_;
  // Of attend_decayed().
  AlignedBuffer<float> decayed_;  // [rows, q_dim] queries as a segment's keys want them
  std::vector<TextPart> parts_;   // as jobs
  SegmentStates segment_states_;
  StateBuffer states_;
  AttentionWorkspace workspace_;
  std::vector<AttentionWorkspace> worker_workspaces_;  // for selectors that compute attention
};

}  // namespace longhaul
