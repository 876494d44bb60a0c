#include "trainer/block_attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace longhaul::trainer {
namespace {

using torch::Tensor;

// Keys at once: on a GPU launches would take longer than small tiles.
int64_t tile_keys(const at::Device& device) { return device.is_cuda() ? 8192 : 1024; }

constexpr double kMasked = -1e30;  // a logit without weight; finite, so that differences are

// Logits' largest value and log of the sum of exponentials in every block of one tile of keys.
struct TileBlocks {
  Tensor largest, log_sum;  // [n_kv_heads, n_blocks, n_group * n_queries]
};

// q [n_kv_heads, n_group * n_queries, head_dim], scaled; k [n_kv_heads, n_keys, head_dim], whole
// blocks; first_key is the position of the first; positions [n_group * n_queries], the least of them
// first_position (known here, so that nothing waits for a GPU).
TileBlocks tile_blocks(const Tensor& q, const Tensor& k, int64_t first_key, int64_t block_size,
                       const Tensor& positions, int64_t first_position) {
  const int64_t n_blocks = k.size(1) / block_size;
  // Keys with the same place in their block side by side, so that a reduction over a block runs
  // over whole rows: [n_kv_heads, block_size, n_blocks, n_group * n_queries].
  const Tensor by_place = k.unflatten(1, {n_blocks, block_size}).transpose(1, 2).flatten(1, 2);
  Tensor logits = at::matmul(by_place, q.mT()).unflatten(1, {block_size, n_blocks});
  const Tensor key_position =
      first_key +
      at::arange(n_blocks * block_size, k.device()).view({n_blocks, block_size, 1}).transpose(0, 1);
  if (first_key + k.size(1) > first_position) {
    logits = logits.masked_fill(key_position > positions, kMasked);
  }
  const Tensor largest = logits.amax(1);
  const Tensor sum = (logits - largest.unsqueeze(1)).exp().sum(1);
  return {largest, largest + sum.log()};
}

}  // namespace

BlockAttention attention_by_block(const Tensor& q, const Tensor& k, int64_t first_position,
                                  int64_t block_size) {
  const int64_t n_kv_heads = k.size(0), n_group = q.size(0) / n_kv_heads, n_queries = q.size(1);
  const int64_t n_blocks = (first_position + n_queries - 1) / block_size + 1;
  const Tensor position = at::arange(first_position, first_position + n_queries, k.device());
  const Tensor positions = position.repeat({n_group});
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(2)));
  const Tensor rows = (q * scale).reshape({n_kv_heads, n_group * n_queries, q.size(2)});
  // The last block may end beyond the last token.
  const int64_t n_missing = std::max<int64_t>(0, n_blocks * block_size - k.size(1));
  const Tensor keys = n_missing > 0 ? at::constant_pad_nd(k, {0, 0, 0, n_missing}) : k;

  std::vector<Tensor> largest, log_sum;
  const int64_t tile = std::max<int64_t>(1, tile_keys(k.device()) / block_size) * block_size;
  for (int64_t first = 0; first < n_blocks * block_size; first += tile) {
    const int64_t n_keys = std::min(tile, n_blocks * block_size - first);
    const TileBlocks blocks = tile_blocks(rows, keys.narrow(1, first, n_keys), first, block_size,
                                          positions, first_position);
    largest.push_back(blocks.largest);
    log_sum.push_back(blocks.log_sum);
  }
  const Tensor sums = at::cat(log_sum, 1);
  const Tensor total = sums.logsumexp(1, true);
  const auto probability = [&](const Tensor& logits) {
    return (logits - total).exp().mT().unflatten(1, {n_group, n_queries});
  };
  const Tensor own = at::floor_divide(position, block_size).unsqueeze(1);
  return {probability(at::cat(largest, 1)), probability(sums),
          at::arange(n_blocks, k.device()) < own};
}

Tensor choosable_blocks(const BlockAttention& attention, int64_t n_sinks) {
  Tensor choosable = attention.earlier.clone();
  choosable.narrow(-1, 0, std::min(n_sinks, choosable.size(-1))).fill_(false);
  return choosable;
}

Tensor gate_target(const BlockAttention& attention, const Tensor& choosable, GateTarget target) {
  const Tensor of_block =
      target == GateTarget::kMass ? attention.mass.mean(1) : attention.largest.amax(1);
  const Tensor values = of_block * choosable;
  return values / (values.sum(-1, true) + 1e-9);
}

}  // namespace longhaul::trainer
