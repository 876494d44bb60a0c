#include "trainer/gate_loss.h"

#include <ATen/ATen.h>

#include <algorithm>
namespace longhaul::trainer {
namespace {

using torch::Tensor;

int64_t tile_queries(const at::Device& device) { return device.is_cuda() ? 2048 : 256; }
constexpr double kMasked = -1e30;

// Sum over heads and queries of KL(target || softmax of logits over `earlier`).
Tensor kl_sum(const Tensor& target, const Tensor& logits, const Tensor& earlier) {
  const Tensor log_share = logits.masked_fill(earlier.logical_not(), kMasked).log_softmax(-1);
  return (at::xlogy(target, target) - target * log_share).sum();
}

}  // namespace

int64_t first_gate_query(const GateConfig& config, int64_t n_tokens) {
  return std::max(n_tokens / 2, (config.sink_blocks + 1) * config.block_size);
}

void for_each_query_tile(const GateConfig& config, int64_t n_tokens, const at::Device& device,
                         const std::function<void(int64_t, int64_t)>& visit) {
  const int64_t most = tile_queries(device);
  for (int64_t first = first_gate_query(config, n_tokens); first < n_tokens; first += most)
    visit(first, std::min(most, n_tokens - first));
}

double add_gate_loss(const GateConfig& config, const GateLayer& gate, const LayerTrace& trace,
                     GateTarget target, double weight) {
  const int64_t n_tokens = trace.q.size(1);
  const int64_t n_queries = n_tokens - first_gate_query(config, n_tokens);
  const double share = 1 / static_cast<double>(config.n_kv_heads * n_queries);
  const at::AutoGradMode with_gradient(true);
  // The keys are computed once; every tile adds to their gradient, which goes on at the end.
  const Tensor keys = gate_keys(config, gate, trace.plain_k);
  const Tensor leaf = keys.detach().set_requires_grad(true);
  Tensor loss = at::zeros({}, keys.options());
  for_each_query_tile(config, n_tokens, keys.device(), [&](int64_t first, int64_t n) {
    Tensor choosable, share_of_block;
    {
      const at::NoGradGuard no_grad;
      const BlockAttention attention =
          attention_by_block(trace.q.narrow(1, first, n), trace.k, first, config.block_size);
      choosable = choosable_blocks(attention, config.sink_blocks);
      share_of_block = gate_target(attention, choosable, target);
    }
    // The last query's own block may have no key yet, and is never chosen from.
    const int64_t n_blocks = std::min(choosable.size(-1), leaf.size(1));
    const Tensor positions = at::arange(first, first + n, trace.q.device());
    const Tensor queries = gate_queries(config, gate, trace.plain_q.narrow(1, first, n), positions);
    const Tensor tile_loss = kl_sum(share_of_block.narrow(-1, 0, n_blocks),
                                    gate_logits(queries, leaf.narrow(1, 0, n_blocks)),
                                    choosable.narrow(-1, 0, n_blocks)) *
                             share;
    (tile_loss * weight).backward();
    loss += tile_loss.detach();
  });
  keys.backward(leaf.grad());
  return loss.item<double>();
}

}  // namespace longhaul::trainer
