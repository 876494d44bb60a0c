// A step: some consecutive tokens of one sequence in a pass, what they attend to, and what the pass
// found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "attention/selector.h"
#include "base/result.h"
#include "state/sequence_state.h"

namespace longhaul {

// Is shown what a selector could look at, for each layer and KV head of a one-token step, before
// attention reads anything. Calls run in parallel; each worker has a workspace.
using SelectionObserver =
    std::function<void(size_t layer, size_t kv_head, size_t worker, const SelectionInput& input,
                       AttentionWorkspace& workspace)>;

// What a step read, summed over layers and KV heads.
struct StepStats {
  size_t blocks_read = 0;             // by a step of one token
  size_t blocks_total = 0;            // that a dense one would have read
  size_t rectified_blocks_read = 0;   // by a step of more tokens
  size_t rectified_blocks_total = 0;  // that a dense one would have read

  StepStats& operator+=(const StepStats& other) {
    blocks_read += other.blocks_read;
    blocks_total += other.blocks_total;
    rectified_blocks_read += other.rectified_blocks_read;
    rectified_blocks_total += other.rectified_blocks_total;
    return *this;
  }
};

struct Step {
  SequenceState* state = nullptr;
  std::span<const int32_t> tokens;
  size_t first_pos =
      0;  // at most state->n_tokens(), and reachable; what is behind it is written again
  size_t n_logits = 0;  // logits are wanted for the last n_logits tokens
  // The host's, [n_logits, d_model]: the states that these logits are made of, behind the last norm;
  // null: not wanted.
  float* states_out = nullptr;
  // Null: dense. For one token: a sparse step. For more: a partial rectification, in which every
  // row reads the blocks that any of them asks for (attention/rectify.h).
  const Selector* selector = nullptr;
  const AttentionOptions* attention = nullptr;  // budget of the selector; with a selector only
  // Partial rectification: estimated missed mass that a KV head may have; less than 0: any.
  double tolerance = -1;
  const SelectionObserver* observer = nullptr;  // null: nobody looks on; otherwise one token
  // Of a sparse step of one token: the host's backend adds to each block how many layers and KV
  // heads read it. As the blocks of the sequence; empty: not wanted.
  std::span<uint32_t> block_counts = {};

  // Set by the pass. Of a step with an Error (a token outside the vocabulary, no room in the cache)
  // nothing has changed; the other steps of the pass ran.
  Status status = {};
  StepStats stats = {};
  size_t first_logits = 0;  // row of the pass's logits where this step's begin
};

}  // namespace longhaul
