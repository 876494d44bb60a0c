// One pass: its steps and rows, and the buffers that all parts of a layer share.
#pragma once

#include <span>
#include <vector>

#include "model/backend.h"
#include "model/lap_timer.h"
#include "model/plan.h"
#include "model/rope.h"
#include "model/step.h"

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
  struct Row {
    int32_t token;
    size_t pos;
  };

  Pass(Backend& backend_in, const ModelPlan& plan_in, std::span<const float> rope_factors,
       size_t max_rows_in);
  // Bytes of the buffers per row.
  static size_t row_bytes(const ModelPlan& plan);

  // Checks the steps and makes room for them; those that can run are in `steps` then.
  void begin(std::span<Step> all, PassTimes* pass_times);
  // Embeddings into x, and the angles of all positions.
  void embed(const Embedding& embedding);

  // Whether narrow() would drop rows.
  bool can_narrow() const { return n_rows != n_kept_; }
  // Drops the rows whose logits nobody wants from x, normed and the angles.
  void narrow();
  // As steps: the rows that narrow() leaves; after it, those that there were before.
  std::span<const StepRows> kept() const { return kept_; }

  // normed = RMSNorm(x) * weight, or where there is a bias LayerNorm(x) * weight + bias
  void norm(const Floats& weight, const Floats& bias);
  // x += product, normalised first where there is a weight.
  void add_product(const Floats& post_norm);

  // Ends a lap of the timer, once what was asked for is done.
  void lap(double PassTimes::*part) {
    if (times != nullptr) backend.wait();
    timer.lap(part);
  }

  // Makes the rows of `input` [n, n_in] those that multiply() reads; its time is that of weights.
  void prepare_input(MatrixView<const float> input);
  void multiply(std::span<const Product> products);

  // Of the rows before narrow().
  const Row& row(size_t r) const { return tokens_[r]; }
  MatrixView<float> x_rows() const { return x.rows(n_rows, plan.d_model); }
  MatrixView<float> normed_rows() const { return normed.rows(n_rows, plan.d_model); }
  MatrixView<float> product_rows() const { return product.rows(n_rows, plan.d_model); }
  // The angles of the rows by one of the plan's ropes.
  Angles angles(size_t rope) const;
  const RopeTable& rope(size_t index) const { return ropes_[index].table; }

  Backend& backend;
  const ModelPlan& plan;
  const size_t max_rows;
  const size_t n_attention_layers;
  LapTimer timer;
  PassTimes* times = nullptr;

  std::vector<Step*> steps;
  std::vector<StepRows> rows;  // as steps
  size_t n_rows = 0;
  Floats x;        // [rows, d_model], residual stream
  Floats normed;   // [rows, d_model]
  Floats product;  // [rows, d_model], what a part adds to x
  Floats memory;   // [rows, memory_width(plan)], what memory units read

 private:
  // One of the plan's ropes.
  struct Rope {
    RopeTable table;
    RopeLayout layout;
    Floats cos, sin;  // [rows, table.n_frequencies()]
  };

  Status check(const Step& step) const;

  std::vector<Row> tokens_;     // [all rows]
  std::vector<StepRows> kept_;  // as steps
  size_t n_kept_ = 0;
  std::vector<Rope> ropes_;        // as plan.ropes
  std::vector<RowBuffer> by_row_;  // the buffers that narrow() moves
  std::vector<RowMove> moves_;     // as steps
};

}  // namespace longhaul
