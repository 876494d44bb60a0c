// Attention over a paged KV cache on the device: storing K and V with the bounds of their blocks,
// choosing blocks, and attention over all tokens or over chosen blocks.
//
// Everything is asynchronous on its stream, allocates nothing and can be captured in a graph. What
// changes from step to step lies in device memory (attention_types.h); the grids depend on n_steps,
// n_rows and max_context of the pass alone.
//
// The bits of a row depend neither on the other rows and steps of the pass nor on how its sequence
// was cut into passes nor on where its pages lie. How the sums go is told in attention_types.h and
// attention_math.cuh. A list of all blocks gives the bits of dense attention.
#pragma once

#include "cuda/attention_kernels.h"
#include "cuda/attention_types.h"
#include "cuda/runtime.h"

namespace longhaul::cuda {

// What passes may come to; a workspace is made for the most that a limit allows.
struct AttentionLimits {
  uint32_t n_kv_heads = 0;
  uint32_t n_group = 0;      // query heads per KV head, 1 .. 16
  uint32_t dim = 0;          // of a key and of a value
  uint32_t block_size = 16;  // tokens
  uint32_t max_context = 0;  // tokens of a sequence
  uint32_t max_steps = 0;
  uint32_t max_rows = 0;
  // Longer steps are split over their text where the states of all spans fit into so many bytes.
  size_t max_split_bytes = size_t{256} << 20;
};

// Device memory between the kernels of attend(). One call at a time, stream order.
class AttendWorkspace {
 public:
  // Error: no device memory.
  static Result<AttendWorkspace> create(const AttentionLimits& limits);
  StateMemory states() const { return {ml_.data(), o_.data()}; }
  size_t n_states() const { return ml_.size(); }

 private:
  DeviceBuffer<float2> ml_;
  DeviceBuffer<float> o_;
};

// Scores and chosen blocks of the sparse steps of a pass.
class SelectWorkspace {
 public:
  // Error: no device memory.
  static Result<SelectWorkspace> create(const AttentionLimits& limits);
  BlockLists lists() const { return {scores_.data(), ids_.data(), stride_}; }

 private:
  DeviceBuffer<float> scores_;
  DeviceBuffer<uint32_t> ids_;
  uint32_t stride_ = 0;
};

// Bytes of a page of one KV head: its tiles, and the bounds of its blocks.
size_t page_tile_bytes(uint32_t dim, uint32_t block_size);
size_t page_bounds_bytes(uint32_t dim);

// Stores K and V of the rows of a pass, then sets the bounds of their blocks anew. `k` and `v` are
// [n_rows, n_kv_heads, dim]. Rounded to f16, magnitudes above 65504 to that.
void store(cudaStream_t stream, const Pass& pass, const KvLayer& kv, const float* k,
           size_t k_stride, const float* v, size_t v_stride);

// Chooses n_selected blocks for every step that has one row and n_selected > 0: the highest scores
// of the mean query of the group against the bounds; ties go to the lower index. n_selected is at
// most the number of blocks, at least n_sinks + n_local or all. `q` as in attend().
void select(cudaStream_t stream, const Pass& pass, const KvLayer& kv, const float* q,
            size_t q_stride, uint32_t n_group, const SelectWorkspace& workspace);

// Queries, [n_rows, n_kv_heads * n_group, dim] (strides in floats, rows and q aligned to 16 bytes),
// and where the outputs go, likewise (8 bytes).
struct AttendRows {
  const float* q = nullptr;
  size_t q_stride = 0;
  uint32_t n_group = 0;
  float scale = 1.0F;
  float* out = nullptr;
  size_t out_stride = 0;
};

// out = softmax(q k^T * scale) v over the tokens that each row sees: those of the chosen blocks for
// the steps that select() chose for, all where `chosen` is null. K and V of the rows are stored.
void attend(cudaStream_t stream, const Pass& pass, const KvLayer& kv, const AttendRows& rows,
            const AttendWorkspace& workspace, const SelectWorkspace* chosen = nullptr);

}  // namespace longhaul::cuda
