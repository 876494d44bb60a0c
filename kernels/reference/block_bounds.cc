#include "kernels/reference/block_bounds.h"

#include <algorithm>
#include <cstring>

#include "kernels/block_bounds_layout.h"
#include "quant/half.h"

namespace longhaul::reference {

BlockBox block_box(const std::byte* group, size_t lane, size_t head_dim) {
  BlockBox box;
  for (size_t dim = 0; dim < head_dim; ++dim) {
    const size_t chunk = dim / kScaleDims;
    const auto codes =
        std::to_integer<int>(group[bounds_codes_offset(lane, dim / 4 * 4, head_dim) + dim % 4]);
    const double origin = static_cast<int8_t>(group[bounds_origin_offset(dim, head_dim)]);
    float origin_step;
    std::memcpy(&origin_step, group + bounds_origin_step_offset(chunk, head_dim), sizeof(float));
    box.origin.push_back(origin_step * origin);
    const double centre_step = read_f16(group + bounds_centre_step_offset(lane, chunk));
    const double radius_step = read_f16(group + bounds_radius_step_offset(lane, chunk));
    box.offset.push_back(centre_step * (2 * (codes % 16) - 15));
    box.radius.push_back(radius_step * (codes / 16 + kRadiusFloor));
  }
  return box;
}

double block_score(const BoundsView& bounds, size_t block, const float* q) {
  const BlockBox box =
      block_box(bounds.base + bounds.pages[block / kBoundsGroupBlocks] * bounds.page_stride,
                block % kBoundsGroupBlocks, bounds.head_dim);
  double score = 0.0;
  for (size_t j = 0; j < bounds.head_dim; ++j) {
    score += std::max(q[j] * box.highest(j), q[j] * box.lowest(j));
  }
  return score;
}

}  // namespace longhaul::reference
