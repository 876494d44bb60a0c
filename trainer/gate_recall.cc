#include "trainer/gate_recall.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "trainer/block_attention.h"
#include "trainer/selection.h"

namespace longhaul::trainer {
namespace {

using torch::Tensor;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Mass [n_kv_heads, n_queries, n_blocks] in the n_chosen best choosable blocks, summed.
double mass_in_best(const Tensor& score, const Tensor& mass, const Tensor& choosable,
                    int64_t n_chosen) {
  const Tensor masked = score.expand_as(mass).masked_fill(choosable.logical_not(), -kInfinity);
  const Tensor best = std::get<1>(masked.topk(std::min(n_chosen, mass.size(-1)), -1));
  return (mass * choosable).gather(-1, best).sum().item<double>();
}

}  // namespace

void add_recall(const GateConfig& config, const GateLayer& gate, const LayerTrace& trace,
                int64_t budget, GateRecall& recall) {
  const at::NoGradGuard no_grad;
  const int64_t n_tokens = trace.q.size(1), block_size = config.block_size;
  const int64_t n_complete = n_tokens / block_size;
  const Tensor keys = gate_keys(config, gate, trace.plain_k);
  for_each_query_tile(config, n_tokens, keys.device(), [&](int64_t first, int64_t n) {
    const Tensor q = trace.q.narrow(1, first, n);
    const BlockAttention attention = attention_by_block(q, trace.k, first, block_size);
    const Tensor mass = attention.mass.mean(1);
    const Tensor choosable = choosable_blocks(attention, config.sink_blocks);
    const Tensor always = (mass * choosable.logical_not()).sum();
    const int64_t n_blocks = std::min(mass.size(-1), n_complete);
    const Tensor whole = mass.narrow(-1, 0, n_blocks);
    const Tensor queries = gate_queries(config, gate, trace.plain_q.narrow(1, first, n),
                                        at::arange(first, first + n, q.device()));
    const Tensor complete = trace.k.narrow(1, 0, n_blocks * block_size);
    const std::array<Tensor, kRankings.size()> scores{
        gate_logits(queries, keys.narrow(1, 0, n_blocks)),
        block_bounds(q.unsqueeze(0), complete.unsqueeze(0), block_size)[0],
        at::arange(n_blocks, q.options()), whole};
    for (size_t i = 0; i < scores.size(); ++i) {
      recall.mass[i] +=
          always.item<double>() + mass_in_best(scores[i], whole, choosable.narrow(-1, 0, n_blocks),
                                               budget / block_size - config.sink_blocks);
    }
    recall.n += static_cast<double>(mass.size(0) * n);
  });
}

}  // namespace longhaul::trainer
