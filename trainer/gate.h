// The attention gate of SeerAttention-R (arXiv 2506.08889): a small network per layer that scores
// the blocks of keys a query will need. Its inputs are q and k before RoPE, after QK-norm.
#pragma once

#include <torch/types.h>

#include <string>
#include <utility>
#include <vector>

namespace longhaul::trainer {

inline constexpr int64_t kPublishedKeyLength = 128;
inline constexpr double kGateNormEps = 1e-6;

struct GateConfig {
  int64_t n_layers = 0, n_heads = 0, n_kv_heads = 0, head_dim = 0;  // of the model
  int64_t block_size = 64;                                          // tokens
  int64_t key_length = kPublishedKeyLength;                         // dg, even
  int64_t sink_blocks = 0;    // first blocks that are always read: neither trained on nor ranked
  double rope_theta = 10000;  // of the model, unscaled
  bool rope = true;
  bool qk_norm = true;

  int64_t n_group() const { return n_heads / n_kv_heads; }
};

// The gate of one layer.
struct GateLayer {
  torch::Tensor wq;      // [n_kv_heads, key_length, n_group * head_dim]
  torch::Tensor wk;      // [n_kv_heads, key_length, 3 * head_dim]: of maximum, minimum, mean
  torch::Tensor q_norm;  // [key_length]; undefined without QK-norm
  torch::Tensor k_norm;  // [key_length]
};

using Gates = std::vector<GateLayer>;  // [n_layers]

// First weights, as leaves that require gradients. The score begins as the product of the group's
// mean query with the mean of the three pools, noise from torch's generator added: random matrices
// need several times the steps to come as far (docs/gates.md).
Gates init_gates(const GateConfig& config);

// Every tensor under its name in a gate file, in the order of the file.
std::vector<std::pair<std::string, torch::Tensor>> named(const Gates& gates);

// Maximum, minimum and mean of k [n_kv_heads, n_tokens, head_dim] over each complete block, joined:
// [n_kv_heads, n_tokens / block_size, 3 * head_dim].
torch::Tensor pool_keys(const torch::Tensor& k, int64_t block_size);

// The gate's keys of the complete blocks of k, turned to each block's first position:
// [n_kv_heads, n_tokens / block_size, key_length].
torch::Tensor gate_keys(const GateConfig& config, const GateLayer& gate, const torch::Tensor& k);

// The gate's queries of q [n_heads, n_queries, head_dim] at positions [n_queries]:
// [n_kv_heads, n_queries, key_length].
torch::Tensor gate_queries(const GateConfig& config, const GateLayer& gate, const torch::Tensor& q,
                           const torch::Tensor& positions);

// Their products over sqrt(key_length): [n_kv_heads, n_queries, n_blocks]. The page's S is the
// softmax of a row over the blocks that may be chosen.
torch::Tensor gate_logits(const torch::Tensor& queries, const torch::Tensor& keys);

}  // namespace longhaul::trainer
