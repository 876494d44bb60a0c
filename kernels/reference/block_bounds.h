// Descriptors and their scores by definition, for tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/block_bounds.h"

namespace longhaul::reference {

// 32 dimensions of one block: the f16 scale and the integers, without the 128 added.
struct BoundSteps {
  uint16_t scale = 0;
  std::vector<int> max, min;  // [32]
};

// Of a block whose keys span [lowest, highest], both [32].
BoundSteps bound_steps(const float* lowest, const float* highest);

// sum_j max(q[j] * highest[j], q[j] * lowest[j]) over the bounds of one block, with q as it is.
double block_score(const BoundsView& bounds, size_t block, const float* q);

}  // namespace longhaul::reference
