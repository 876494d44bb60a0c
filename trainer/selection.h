// Block selection by min/max descriptors, seen from training: a loss that makes the bound find the
// blocks attention reads, and attention restricted to the selected blocks, to measure with.
#pragma once

#include <torch/types.h>

#include "trainer/model.h"

namespace longhaul::trainer {

inline constexpr int64_t kSelectionBlock = 16;

// The upper bound of qbar . k over every whole block, divided by sqrt(head_dim). q [n_rows,
// n_heads, n_queries, head_dim], k [n_rows, n_kv_heads, length, head_dim] with length a multiple of
// block_size; returns [n_rows, n_kv_heads, n_queries, n_blocks]. qbar is the mean over a group's
// heads, and
//   sum_j max(qbar_j * kmin_j, qbar_j * kmax_j) = relu(qbar) . kmax - relu(-qbar) . kmin.
torch::Tensor block_bounds(const torch::Tensor& q, const torch::Tensor& k,
                           int64_t block_size = kSelectionBlock);

// Distils attention into the bound: KL(G || softmax of the bounds) over the whole blocks before
// the query's own, where G is the largest probability of each block, over its tokens and the heads
// of the group, normalised and detached. Averaged over queries by the mass they read there.
// `queries` [n_rows, n_queries] are positions; q and k as in Attention.
torch::Tensor selection_loss(const torch::Tensor& q, const torch::Tensor& k,
                             const torch::Tensor& queries);

struct SparseOptions {
  double ratio = 0.1;
  int64_t min_blocks = 16;
  int64_t first_query = 0;  // positions before it (the prompt) attend densely
  bool oracle = false;      // choose by true attention mass instead of the bound
};

// What selection kept of the attention mass, summed over look-up queries: every third from
// first_query on. The mass is a mean over heads.
struct SelectionStats {
  double n = 0;
  double mass = 0;
};

// Attention where positions from first_query on read the selected blocks only, as sparse decoding
// does: ceil(ratio * n_blocks) but at least min_blocks, the newest block always. One row.
torch::Tensor sparse_attention(const torch::Tensor& q, const torch::Tensor& k,
                               const torch::Tensor& v, const SparseOptions& options,
                               SelectionStats* stats);

}  // namespace longhaul::trainer
