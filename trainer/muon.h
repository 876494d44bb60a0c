// Muon: momentum whose update is made orthogonal, for the matrices inside the layers.
#pragma once

#include <torch/types.h>

#include <vector>

namespace longhaul::trainer {

// Every step moves a matrix by learning_rate * sqrt(max(1, rows / columns)) along the nearest
// semi-orthogonal matrix to its Nesterov momentum, so that all directions learn at one pace; with
// decoupled weight decay. Source: K. Jordan et al., "Muon" (2024), the quintic Newton-Schulz
// iteration with coefficients 3.4445, -4.7750, 2.0315.
class Muon {
 public:
  Muon(std::vector<torch::Tensor> matrices, double momentum, double weight_decay);

  void step(double learning_rate);

  // Momentum of every matrix, for checkpoints; to restore, copy into these tensors.
  const std::vector<torch::Tensor>& momenta() const { return momenta_; }

 private:
  std::vector<torch::Tensor> matrices_;
  std::vector<torch::Tensor> momenta_;
  double momentum_;
  double weight_decay_;
};

}  // namespace longhaul::trainer
