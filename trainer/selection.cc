#include "trainer/selection.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

namespace longhaul::trainer {
namespace {

using torch::Tensor;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// [n_rows, n_heads, ...] to [n_rows, n_kv_heads, group, ...].
Tensor by_group(const Tensor& x, int64_t n_kv_heads) {
  return x.unflatten(1, {n_kv_heads, x.size(1) / n_kv_heads});
}

// Causal attention probabilities of some queries: q [n_rows, n_heads, n_queries, head_dim], their
// positions [n_rows, n_queries]; returns [n_rows, n_kv_heads, group, n_queries, length].
Tensor probabilities(const Tensor& q, const Tensor& k, const Tensor& positions) {
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(3)));
  const Tensor scores = at::matmul(by_group(q, k.size(1)) * scale, k.unsqueeze(2).mT());
  const Tensor future = at::arange(k.size(2)) > positions.unsqueeze(-1);  // [rows, queries, length]
  return scores.masked_fill(future.unsqueeze(1).unsqueeze(1), -kInfinity).softmax(-1);
}

// True for the whole blocks before the query's own: [n_rows, 1, n_queries, n_blocks].
Tensor earlier_blocks(const Tensor& positions, int64_t n_blocks) {
  const Tensor own = at::floor_divide(positions, kSelectionBlock);
  return (at::arange(n_blocks) < own.unsqueeze(-1)).unsqueeze(1);
}

}  // namespace

Tensor block_bounds(const Tensor& q, const Tensor& k, int64_t block_size) {
  const Tensor blocks = k.unflatten(2, {-1, block_size});
  const Tensor kmin = blocks.amin(3).mT();  // [n_rows, n_kv_heads, head_dim, n_blocks]
  const Tensor kmax = blocks.amax(3).mT();
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(3)));
  const Tensor qbar = by_group(q, k.size(1)).mean(2) * scale;
  return at::matmul(at::relu(qbar), kmax) - at::matmul(at::relu(-qbar), kmin);
}

Tensor selection_loss(const Tensor& q, const Tensor& k, const Tensor& queries) {
  const int64_t head_dim = q.size(3);
  const Tensor index = queries.unsqueeze(1).unsqueeze(-1).expand({-1, q.size(1), -1, head_dim});
  const Tensor some = q.gather(2, index);
  const Tensor bounds = block_bounds(some, k);
  const Tensor earlier = earlier_blocks(queries, bounds.size(3));
  Tensor target, mass;
  {
    const at::NoGradGuard no_grad;
    const Tensor p = probabilities(some, k, queries).unflatten(-1, {-1, kSelectionBlock});
    mass = (p.sum(-1).mean(2) * earlier).sum(-1);  // [n_rows, n_kv_heads, n_queries]
    target = p.amax(-1).amax(2) * earlier;
    target = target / (target.sum(-1, true) + 1e-9);
  }
  const Tensor log_share = bounds.masked_fill(earlier.logical_not(), -1e4).log_softmax(-1);
  const Tensor kl = (target * ((target + 1e-9).log() - log_share)).sum(-1);
  return (kl * mass).sum() / (mass.sum() + 1);
}

Tensor sparse_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                        const SparseOptions& options, SelectionStats* stats) {
  const int64_t length = q.size(2);
  const int64_t first = options.first_query;
  const auto positions = at::arange(first, length).unsqueeze(0);
  const Tensor some = q.narrow(2, first, length - first);
  const Tensor p = probabilities(some, k, positions);
  const Tensor block_mass = p.unflatten(-1, {-1, kSelectionBlock}).sum(-1).mean(2);
  const int64_t n_blocks = block_mass.size(3);
  const Tensor own = at::floor_divide(positions, kSelectionBlock).view({1, 1, -1, 1});
  const Tensor block = at::arange(n_blocks).view({1, 1, 1, -1});
  const Tensor score = (options.oracle ? block_mass : block_bounds(some, k))
                           .masked_fill(block > own, -kInfinity)
                           .masked_fill(block == own, kInfinity);
  // Rank of every block by falling score; a block is kept if its rank is below n_sel.
  const Tensor rank = score.argsort(true, -1, true).argsort(false, -1, false);
  const Tensor n_past = own + 1;
  const Tensor n_sel = at::maximum(at::ceil(n_past * options.ratio),
                                   at::minimum(n_past, at::scalar_tensor(options.min_blocks)));
  const Tensor kept = (rank < n_sel).logical_and(block <= own);
  if (stats != nullptr) {
    const Tensor mass = (block_mass * kept).sum(-1).mean(1).slice(-1, 0, length - first, 3);
    stats->mass += mass.sum().item<double>();
    stats->n += static_cast<double>(mass.numel());
  }
  const Tensor token_kept = kept.repeat_interleave(kSelectionBlock, -1).unsqueeze(2);
  const Tensor masked = p * token_kept;
  const Tensor normalised = masked / masked.sum(-1, true);
  const Tensor o = at::matmul(normalised, v.unsqueeze(2)).flatten(1, 2);
  if (first == 0) return o;
  const auto head = [&](const Tensor& x) { return x.narrow(2, 0, first); };
  return at::cat({dense_attention(head(q), head(k), head(v)), o}, 2);
}

}  // namespace longhaul::trainer
