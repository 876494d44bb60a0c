// A transformer and its one primitive, forward(): run known tokens of a sequence at given
// positions, write their K and V, return the logits asked for. Prefill, a sparse step,
// rectification and verification are all this call.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "attention/rectify.h"
#include "attention/selector.h"
#include "base/matrix_view.h"
#include "cache/kv_cache.h"
#include "longhaul/profile.h"
#include "model/config.h"
#include "model/rope.h"
#include "model/weights.h"

namespace longhaul {

// Is shown what a selector could look at, for each layer and KV head of a one-token chunk, before
// attention reads anything. Calls run in parallel; each worker has a workspace.
using SelectionObserver =
    std::function<void(size_t layer, size_t kv_head, size_t worker, const SelectionInput& input,
                       AttentionWorkspace& workspace)>;

// Some consecutive tokens of one sequence in a pass.
struct Chunk {
  KvSequence* sequence = nullptr;
  std::span<const int32_t> tokens;
  size_t first_pos = 0;  // at most sequence->n_tokens(); positions already there are overwritten
  size_t n_logits = 0;   // logits are wanted for the last n_logits tokens
  // Null: dense. For one token: a sparse step. For more: a partial rectification, in which every
  // row reads the blocks that any of them asks for (attention/rectify.h).
  const Selector* selector = nullptr;
  const AttentionOptions* attention = nullptr;  // budget of the selector; with a selector only
  double tolerance =
      -1;  // partial rectification: estimated missed mass that a KV head may have; less than 0: any
  const SelectionObserver* observer = nullptr;  // null: nobody looks on; otherwise one token
};

// What the passes read, summed over layers and KV heads; grows from call to call.
struct ForwardStats {
  size_t blocks_read = 0;             // by one-token chunks
  size_t blocks_total = 0;            // that dense one-token chunks would have read
  size_t rectified_blocks_read = 0;   // by chunks of more tokens
  size_t rectified_blocks_total = 0;  // that dense ones would have read
};

class Model {
 public:
  // Binds the weights; `file` must outlive the model. `max_rows` is the most tokens of one
  // forward().
  static Result<std::unique_ptr<Model>> load(const GgufFile& file, ThreadPool& pool,
                                             size_t max_rows);
  ~Model();

  const ModelConfig& config() const;
  const ModelWeights& weights() const;
  size_t max_rows() const;
  // How the model rotates queries and keys, for the gates that take it back.
  GateRope gate_rope() const;

  // Memory of the buffers of a model that runs up to max_rows tokens a pass; the weights and what
  // attention needs for long contexts come on top.
  static size_t buffer_bytes(const ModelConfig& config, size_t max_rows);

  // Runs all chunks in one pass. `logits` [sum of n_logits, vocab_size] is filled chunk by chunk.
  // The logits of a position have the same bits whatever else is in the pass, however its sequence
  // was cut into chunks, and for any number of threads. Error: a token outside the vocabulary, or
  // no room in the cache; then no sequence has changed length. Allocates only when a context or
  // batch is larger than any before. With `times` the pass is added to them; it computes the same.
  Status forward(std::span<const Chunk> chunks, MatrixView<float> logits,
                 ForwardStats* stats = nullptr, PassTimes* times = nullptr);

 private:
  struct Impl;
  explicit Model(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace longhaul
