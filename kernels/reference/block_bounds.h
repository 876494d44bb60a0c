// Descriptors and their scores by definition, for tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/block_bounds.h"

namespace longhaul::reference {

// The box of block `lane` of a group: origin + offset +- radius, [head_dim] each; exact.
struct BlockBox {
  std::vector<double> origin, offset, radius;
  double highest(size_t dim) const { return origin[dim] + offset[dim] + radius[dim]; }
  double lowest(size_t dim) const { return origin[dim] + offset[dim] - radius[dim]; }
};
BlockBox block_box(const std::byte* group, size_t lane, size_t head_dim);

// sum_j max(q[j] * highest[j], q[j] * lowest[j]) over the box of one block, with q as it is.
double block_score(const BoundsView& bounds, size_t block, const float* q);

}  // namespace longhaul::reference
