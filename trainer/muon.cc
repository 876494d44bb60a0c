#include "trainer/muon.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace longhaul::trainer {
namespace {

using torch::Tensor;

// Drives the singular values of `g` towards 1 without computing them.
Tensor orthogonalise(const Tensor& g) {
  constexpr int kIterations = 5;
  const bool tall = g.size(0) > g.size(1);
  Tensor x = tall ? g.t() : g;
  x = x / (x.norm() + 1e-7);
  for (int i = 0; i < kIterations; ++i) {
    const Tensor a = at::matmul(x, x.t());
    const Tensor b = -4.7750 * a + 2.0315 * at::matmul(a, a);
    x = 3.4445 * x + at::matmul(b, x);
  }
  return tall ? x.t() : x;
}

}  // namespace

Muon::Muon(std::vector<Tensor> matrices, double momentum, double weight_decay)
    : matrices_(std::move(matrices)), momentum_(momentum), weight_decay_(weight_decay) {
  for (const Tensor& matrix : matrices_) momenta_.push_back(at::zeros_like(matrix));
}

void Muon::step(double learning_rate) {
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < matrices_.size(); ++i) {
    const Tensor& matrix = matrices_[i];
    const Tensor& gradient = matrix.grad();
    if (!gradient.defined()) continue;
    momenta_[i].mul_(momentum_).add_(gradient);
    const Tensor update = orthogonalise(gradient + momentum_ * momenta_[i]);
    const double shape = static_cast<double>(matrix.size(0)) / static_cast<double>(matrix.size(1));
    matrix.mul_(1 - learning_rate * weight_decay_);
    matrix.add_(update, -learning_rate * std::sqrt(std::max(1.0, shape)));
  }
}

}  // namespace longhaul::trainer
