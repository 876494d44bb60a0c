#include "trainer/rope.h"

#include <ATen/ATen.h>

#include <cmath>

namespace longhaul::trainer {

using torch::Tensor;

std::vector<double> rope_frequencies(double theta, int64_t n_dims, bool inclusive) {
  const auto n_steps = static_cast<double>(inclusive ? n_dims - 2 : n_dims);
  std::vector<double> frequencies(static_cast<size_t>(n_dims / 2));
  for (size_t j = 0; j < frequencies.size(); ++j) {
    frequencies[j] = std::pow(theta, -2.0 * static_cast<double>(j) / n_steps);
  }
  return frequencies;
}

RopeTables rope_tables(const std::vector<double>& frequencies, const Tensor& positions,
                       const torch::TensorOptions& options, double magnitude) {
  const Tensor frequency =
      at::tensor(at::ArrayRef<double>(frequencies), at::kDouble).to(positions.device());
  const Tensor angle = at::outer(positions.to(at::kDouble), frequency);
  return {(angle.cos() * magnitude).to(options), (angle.sin() * magnitude).to(options)};
}

Tensor rotate(const Tensor& x, const RopeTables& tables) {
  const int64_t n = tables.cos.size(-1);
  const Tensor first = x.narrow(-1, 0, n), second = x.narrow(-1, n, n);
  std::vector<Tensor> parts{first * tables.cos - second * tables.sin,
                            second * tables.cos + first * tables.sin};
  if (x.size(-1) > 2 * n) parts.push_back(x.narrow(-1, 2 * n, x.size(-1) - 2 * n));
  return at::cat(parts, -1);
}

Tensor interleaved_place(int64_t head_dim, int64_t rope_dim) {
  const Tensor pairs = at::arange(rope_dim).view({rope_dim / 2, 2}).t().flatten();
  return at::cat({pairs, at::arange(rope_dim, head_dim)});
}

}  // namespace longhaul::trainer
