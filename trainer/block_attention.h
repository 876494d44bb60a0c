// What causal attention reads from each block of keys, computed in tiles: no map of queries by
// keys.
#pragma once

#include <torch/types.h>

namespace longhaul::trainer {

// Of a run of queries; blocks from 0 to the last query's own.
struct BlockAttention {
  torch::Tensor largest;  // [n_kv_heads, n_group, n_queries, n_blocks]: the largest probability
  torch::Tensor mass;     // likewise: the sum of the probabilities
  torch::Tensor earlier;  // [n_queries, n_blocks]: true for blocks before the query's own
};

// q [n_heads, n_queries, head_dim] of the positions from first_position on, k [n_kv_heads,
// n_tokens, head_dim] of all positions from 0 on, both after RoPE. Needs memory for n_queries by
// 1,024 keys and for the result.
BlockAttention attention_by_block(const torch::Tensor& q, const torch::Tensor& k,
                                  int64_t first_position, int64_t block_size);

// SeerAttention-R's target: the largest probability of each earlier block, over its tokens and over
// the heads of the group, divided by the sum over blocks (+1e-9): [n_kv_heads, n_queries,
// n_blocks]. The query's own block is left out: decoding reads it always, and until it is complete
// it has no gate key (a key of the whole block would tell of the query's future).
torch::Tensor gate_target(const BlockAttention& attention);

}  // namespace longhaul::trainer
