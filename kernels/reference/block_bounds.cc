#include "kernels/reference/block_bounds.h"

#include <algorithm>
#include <cmath>

#include "kernels/kv_tile.h"
#include "quant/half.h"

namespace longhaul::reference {

BoundSteps bound_steps(const float* lowest, const float* highest) {
  double largest = 0.0;
  for (size_t i = 0; i < kScaleDims; ++i) {
    largest = std::max({largest, std::fabs(double{lowest[i]}), std::fabs(double{highest[i]})});
  }
  constexpr uint16_t kLargestHalf = 0x7BFF;
  BoundSteps steps;
  while (steps.scale < kLargestHalf && 127.0 * double{f16_to_f32(steps.scale)} < largest) {
    ++steps.scale;
  }
  const double scale = f16_to_f32(steps.scale);
  for (size_t i = 0; i < kScaleDims; ++i) {
    const double up = scale > 0.0 ? std::ceil(highest[i] / scale) : 0.0;
    const double down = scale > 0.0 ? std::floor(lowest[i] / scale) : 0.0;
    steps.max.push_back(static_cast<int>(std::clamp(up, -127.0, 127.0)));
    steps.min.push_back(static_cast<int>(std::clamp(down, -127.0, 127.0)));
  }
  return steps;
}

double block_score(const BoundsView& bounds, size_t block, const float* q) {
  std::vector<float> lowest(bounds.head_dim);
  std::vector<float> highest(bounds.head_dim);
  const std::byte* group =
      bounds.base + bounds.pages[block / kBoundsGroupBlocks] * bounds.page_stride;
  bounds_read(group, block % kBoundsGroupBlocks, lowest.data(), highest.data(), bounds.head_dim);
  double score = 0.0;
  for (size_t j = 0; j < bounds.head_dim; ++j) {
    score += std::max(double{q[j]} * highest[j], double{q[j]} * lowest[j]);
  }
  return score;
}

}  // namespace longhaul::reference
