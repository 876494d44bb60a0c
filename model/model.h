// A transformer and its one primitive, run(): run known tokens of sequences at given
// positions, write their K and V, return the logits asked for. Prefill, a sparse step,
// rectification and verification are all this call.
#pragma once

#include <memory>
#include <span>

#include "base/matrix_view.h"
#include "longhaul/profile.h"
#include "model/backend.h"
#include "model/plan.h"
#include "model/rope.h"
#include "model/step.h"
#include "model/weights.h"
#include "parallel/thread_pool.h"

namespace longhaul {

class Model {
 public:
  // Binds the weights; `file` and `backend` must outlive the model. `max_rows` is the most tokens
  // of one run(). Throws std::bad_alloc where the backend has no memory for the buffers.
  static Result<std::unique_ptr<Model>> load(const GgufFile& file, Backend& backend,
                                             size_t max_rows, const PlanOptions& options = {});
  // On the host's processor.
  static Result<std::unique_ptr<Model>> load(const GgufFile& file, ThreadPool& pool,
                                             size_t max_rows);
  ~Model();

  const ModelPlan& plan() const;
  const ModelWeights& weights() const;
  Backend& backend() const;
  size_t max_rows() const;
  // How the layers that are selected from rotate queries and keys, for selectors that take it back.
  RopeAngles rope_angles() const;

  // Memory of the buffers of a model that runs up to max_rows tokens a pass; the weights and what
  // attention needs for long contexts come on top.
  static size_t buffer_bytes(const ModelPlan& plan, size_t max_rows);

  // Runs all steps in one pass, at most max_rows() tokens together. `logits` [sum of n_logits,
  // vocab_size] is filled step by step, those of steps that failed left out. The logits of a
  // position have the same bits whatever else is in the pass, however its sequence was cut into
  // steps, and for any number of threads. Allocates only when a context or batch is larger than any
  // before. With `times` the pass is added to them; it computes the same.
  void run(std::span<Step> steps, MatrixView<float> logits, PassTimes* times = nullptr);
  // One step alone; its status.
  Status run(Step& step, MatrixView<float> logits, PassTimes* times = nullptr) {
    run({&step, 1}, logits, times);
    return step.status;
  }

 private:
  struct Impl;
  explicit Model(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace longhaul
