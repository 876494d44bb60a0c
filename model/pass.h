// One pass: its steps and rows, and the buffers that all parts of a layer share.
#pragma once

#include <span>
#include <vector>

#include "kernels/linear.h"
#include "model/lap_timer.h"
#include "model/plan.h"
#include "model/rope.h"
#include "model/step.h"
#include "model/tensor_visitor.h"
#include "parallel/thread_pool.h"

namespace longhaul {

// The rows of one step in a pass: consecutive positions, the last of them the step's last token.
struct StepRows {
  size_t first = 0;
  size_t n = 0;
  size_t first_pos = 0;
};

// Rows are the tokens of all steps that run, one after another; from the first layer of
// RowSet::kWithLogits on, what narrow() leaves of them.
class Pass {
 public:
  Pass(ThreadPool& pool_in, const ModelPlan& plan_in, std::span<const float> rope_factors,
       size_t max_rows_in);
  // Bytes of the buffers per row.
  static size_t row_bytes(const ModelPlan& plan);

  // Checks the steps and makes room for them; those that can run are in `steps` then.
  void begin(std::span<Step> all, PassTimes* pass_times);
  // Embeddings into x, and the angles of all positions.
  void embed(const TableView& table);

  // Whether narrow() would drop rows.
  bool can_narrow() const { return n_rows != n_kept_; }
  // Drops the rows whose logits nobody wants from x, normed and the angles.
  void narrow();

  // Calls task(row, worker) for every row, split over the pool where that pays.
  void for_each_row(FunctionRef<void(size_t row, size_t worker)> task) {
    for_each(n_rows, kSerialRows, task);
  }
  // The same for n tasks, in turn where they are at most `serial`.
  void for_each(size_t n, size_t serial, FunctionRef<void(size_t task, size_t worker)> task);

  // normed = RMSNorm(x) * weight
  void norm(const AlignedBuffer<float>& weight);
  // x += product, normalised first where there is a weight.
  void add_product(const AlignedBuffer<float>& post_norm);

  // Makes the rows of `input` [n, n_in] those that multiply() reads; its time is that of weights.
  void prepare_input(MatrixView<const float> input);
  void multiply(std::span<const MatmulTask> tasks);

  MatrixView<const float> normed_rows() const { return {normed.data(), n_rows, plan.d_model}; }
  MatrixView<float> product_rows() { return {product.data(), n_rows, plan.d_model}; }

  // Below this many rows a fork and join costs more than the loop.
  static constexpr size_t kSerialRows = 4;

  struct Row {
    int32_t token;
    size_t pos;
  };
  // The angles of one of the plan's ropes.
  struct Angles {
    RopeTable table;
    AlignedBuffer<float> cos, sin;  // [rows, table.n_frequencies()]
  };

  // What selectors need of the positions of rows that they will look at.
  struct SelectorRows {
    size_t n_floats = 0;          // of a row
    AlignedBuffer<float> floats;  // [rows, n_floats]
  };

  ThreadPool& pool;
  const ModelPlan& plan;
  const size_t max_rows;
  LapTimer timer;
  PassTimes* times = nullptr;

  std::vector<Step*> steps;
  std::vector<StepRows> rows;  // as steps
  size_t n_rows = 0;
  AlignedBuffer<float> x;                   // [rows, d_model], residual stream
  AlignedBuffer<float> normed;              // [rows, d_model]
  AlignedBuffer<float> product;             // [rows, d_model], what a part adds to x
  std::vector<Angles> angles;               // as plan.ropes
  std::vector<SelectorRows> selector_rows;  // as the summaries of slot 0

 private:
  Status check_tokens(const Step& step) const;

  std::vector<Row> tokens_;     // [all rows]
  std::vector<StepRows> kept_;  // as steps: what narrow() leaves
  size_t n_kept_ = 0;
  Activations activations_;
};

}  // namespace longhaul
