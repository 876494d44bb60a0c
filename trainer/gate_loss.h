// The loss a gate learns from: how far its choice is from the frozen model's own attention.
#pragma once

#include <torch/types.h>

#include <functional>

#include "trainer/block_attention.h"
#include "trainer/gate.h"

namespace longhaul::trainer {

// What one layer of the frozen model attends with, for one sequence. q [n_heads, n_tokens,
// head_dim], k [n_kv_heads, n_tokens, head_dim].
struct LayerTrace {
  torch::Tensor q, k;              // after RoPE
  torch::Tensor plain_q, plain_k;  // before it, after QK-norm: the gate's inputs
};

// The first query that counts: the last half of the sequence does (slice ratio 0.5), from the
// first on that has a block to choose.
int64_t first_gate_query(const GateConfig& config, int64_t n_tokens);

// Calls visit(first, n) for runs of at most 256 queries (2,048 on a GPU), together first_gate_query()
// to n_tokens.
void for_each_query_tile(const GateConfig& config, int64_t n_tokens, const at::Device& device,
                         const std::function<void(int64_t first, int64_t n)>& visit);

// KL( gate_target || softmax of the gate's logits ) over choosable blocks, mean over KV heads and
// queries that count. Adds `weight` times its gradient to the gate's weights. Never holds more than
// one tile of queries by blocks.
double add_gate_loss(const GateConfig& config, const GateLayer& gate, const LayerTrace& trace,
                     GateTarget target, double weight);

}  // namespace longhaul::trainer
