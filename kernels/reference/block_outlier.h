// Two-point descriptors and their scores by definition, for tests.
#pragma once

#include <cstddef>
#include <vector>

#include "kernels/block_outlier.h"

namespace longhaul::reference {

// x = H S x by the definition of rotate_dims (hadamard.h).
std::vector<double> rotated(const std::vector<double>& x);

// What block `lane` of a group holds: the rotated points [head_dim] as they were rounded, and half
// the distance between two codes, by dimension.
struct BlockPoints {
  std::vector<double> mean, outlier, mean_step, outlier_step;
  double spread = 0.0;
};
BlockPoints block_points(const std::byte* group, size_t lane, size_t head_dim);

// The points of keys [n_keys, head_dim] as they are, not rotated, n_keys >= 2; steps are not set.
BlockPoints points_of(const float* keys, size_t n_keys, size_t head_dim);

// The score of one block for one query, rotated [head_dim] but not rounded.
double block_log_mass(const BoundsView& blocks, size_t block, const std::vector<double>& rotated_q,
                      double scale, size_t block_size);

}  // namespace longhaul::reference
