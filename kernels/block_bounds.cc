#include "kernels/block_bounds.h"

#include "kernels/kv_tile_f16.h"

namespace longhaul {
namespace {

uint16_t* max_row(std::byte* group, size_t dim) {
  return reinterpret_cast<uint16_t*>(group) + dim * kBoundsGroupBlocks;
}

uint16_t* min_row(std::byte* group, size_t dim, size_t head_dim) {
  return max_row(group, head_dim + dim);
}

}  // namespace

size_t bounds_group_bytes(size_t head_dim) { return 2 * head_dim * kBoundsGroupBlocks * 2; }

void bounds_set(std::byte* group, size_t lane, const float* k, size_t head_dim) {
  for (size_t dim = 0; dim < head_dim; ++dim) {
    max_row(group, dim)[lane] = f16_round_up(k[dim]);
    min_row(group, dim, head_dim)[lane] = f16_round_down(k[dim]);
  }
}

void bounds_merge(std::byte* group, size_t lane, const float* k, size_t head_dim) {
  for (size_t dim = 0; dim < head_dim; ++dim) {
    uint16_t& max = max_row(group, dim)[lane];
    uint16_t& min = min_row(group, dim, head_dim)[lane];
    if (k[dim] > f16_to_f32(max)) max = f16_round_up(k[dim]);
    if (k[dim] < f16_to_f32(min)) min = f16_round_down(k[dim]);
  }
}

}  // namespace longhaul
