#include "trainer/gate.h"

#include <ATen/ATen.h>

#include <cmath>

#include "trainer/rope.h"

namespace longhaul::trainer {
namespace {

using torch::Tensor;

constexpr double kNoise = 0.1;  // of a first matrix, in the norm of its rows

// Copies a head's dimensions, each of RoPE's pairs to one that turns about as fast, times `scale`:
// [key_length, head_dim].
Tensor copying(const GateConfig& config, double scale) {
  const int64_t half = config.head_dim / 2, gate_half = config.key_length / 2;
  Tensor map = at::zeros({config.key_length, config.head_dim});
  for (int64_t j = 0; j < half; ++j) {
    const int64_t to = j * gate_half / half;
    map[to][j] = scale;
    map[gate_half + to][half + j] = scale;
  }
  return map;
}

// `map` [key_length, n_in] for every KV head, with noise.
Tensor first_matrix(const GateConfig& config, const Tensor& map) {
  const Tensor maps = map.unsqueeze(0).repeat({config.n_kv_heads, 1, 1});
  const double size = kNoise / std::sqrt(static_cast<double>(map.size(1)));
  return (maps + at::randn_like(maps) * size).set_requires_grad(true);
}

// RMSNorm over key_length, then RoPE, as far as the gate has them.
Tensor finish(const GateConfig& config, const Tensor& x, const Tensor& norm,
              const Tensor& positions) {
  Tensor y = x;
  if (config.qk_norm) y = y * at::rsqrt(y.square().mean(-1, true) + kGateNormEps) * norm;
  if (!config.rope) return y;
  const auto frequencies = rope_frequencies(config.rope_theta, config.key_length);
  return rotate(y, rope_tables(frequencies, positions, y.options().requires_grad(false)));
}

}  // namespace

Gates init_gates(const GateConfig& config) {
  Gates gates;
  for (int64_t i = 0; i < config.n_layers; ++i) {
    GateLayer gate;
    gate.wq = first_matrix(config, copying(config, 1).repeat({1, config.n_group()}));
    gate.wk = first_matrix(config, copying(config, 1.0 / 3).repeat({1, 3}));
    if (config.qk_norm) {
      gate.q_norm = at::ones({config.key_length}).set_requires_grad(true);
      gate.k_norm = at::ones({config.key_length}).set_requires_grad(true);
    }
    gates.push_back(std::move(gate));
  }
  return gates;
}

std::vector<std::pair<std::string, Tensor>> named(const Gates& gates) {
  std::vector<std::pair<std::string, Tensor>> result;
  for (size_t i = 0; i < gates.size(); ++i) {
    const auto add = [&](const char* name, const Tensor& tensor) {
      if (tensor.defined()) result.emplace_back("blk." + std::to_string(i) + "." + name, tensor);
    };
    add("attn_gate_q.weight", gates[i].wq);
    add("attn_gate_k.weight", gates[i].wk);
    add("attn_gate_q_norm.weight", gates[i].q_norm);
    add("attn_gate_k_norm.weight", gates[i].k_norm);
  }
  return result;
}

Tensor pool_keys(const Tensor& k, int64_t block_size) {
  const int64_t n_blocks = k.size(1) / block_size;
  const Tensor blocks = k.narrow(1, 0, n_blocks * block_size).unflatten(1, {n_blocks, block_size});
  return at::cat({blocks.amax(2), blocks.amin(2), blocks.mean(2)}, -1);
}

Tensor gate_keys(const GateConfig& config, const GateLayer& gate, const Tensor& k) {
  const Tensor pooled = pool_keys(k, config.block_size);
  const Tensor first = at::arange(pooled.size(1), k.device()) * config.block_size;
  return finish(config, at::matmul(pooled, gate.wk.mT()), gate.k_norm, first);
}

Tensor gate_queries(const GateConfig& config, const GateLayer& gate, const Tensor& q,
                    const Tensor& positions) {
  // [n_kv_heads, n_queries, n_group * head_dim]
  const Tensor grouped =
      q.unflatten(0, {config.n_kv_heads, config.n_group()}).transpose(1, 2).flatten(2, 3);
  return finish(config, at::matmul(grouped, gate.wq.mT()), gate.q_norm, positions);
}

Tensor gate_logits(const Tensor& queries, const Tensor& keys) {
  return at::matmul(queries, keys.mT()) / std::sqrt(static_cast<double>(queries.size(-1)));
}

}  // namespace longhaul::trainer
