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
// 1,024 keys (8,192 on a GPU) and for the result.
BlockAttention attention_by_block(const torch::Tensor& q, const torch::Tensor& k,
                                  int64_t first_position, int64_t block_size);

// The blocks a gate may choose: those before the query's own, which decoding reads always (until it
// is complete it has no gate key, and a key of the whole block would tell of the query's future),
// but for the first n_sinks, read always too: [n_queries, n_blocks].
torch::Tensor choosable_blocks(const BlockAttention& attention, int64_t n_sinks);

// What a gate learns to rank blocks by.
enum class GateTarget {
  kLargest,  // their largest probability, over tokens and the heads of the group: SeerAttention-R's
  kMass,     // the sum of their probabilities, a mean over heads: what choosing them catches
};

// That of every choosable block divided by its sum over them (+1e-9), 0 of the others:
// [n_kv_heads, n_queries, n_blocks].
torch::Tensor gate_target(const BlockAttention& attention, const torch::Tensor& choosable,
                          GateTarget target);

}  // namespace longhaul::trainer
