// score_blocks for every SIMD target: lane = block, four chains of sums over the dimensions.
#include <hwy/cache_control.h>

#include "kernels/block_bounds.h"
#include "kernels/kv_tile.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/block_scores.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/kv_tile_f16-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longhaul {
namespace HWY_NAMESPACE {

constexpr size_t kChains = 4;  // head_dim is a multiple

// scores[16] of one group; rows[dim] is where in the group the row of dimension `dim` starts.
HWY_INLINE void ScoreGroup(const std::byte* group, const uint32_t* HWY_RESTRICT rows,
                           const float* HWY_RESTRICT q, size_t head_dim,
                           float* HWY_RESTRICT scores) {
  const DF df;
  for (size_t lane = 0; lane < kBoundsGroupBlocks; lane += hn::Lanes(df)) {
    const std::byte* base = group + lane * 2;
    VF a = hn::Zero(df);
    VF b = hn::Zero(df);
    VF c = hn::Zero(df);
    VF d = hn::Zero(df);
    for (size_t dim = 0; dim < head_dim; dim += kChains) {
      a = hn::MulAdd(hn::Set(df, q[dim]), LoadHalf(base + rows[dim]), a);
      b = hn::MulAdd(hn::Set(df, q[dim + 1]), LoadHalf(base + rows[dim + 1]), b);
      c = hn::MulAdd(hn::Set(df, q[dim + 2]), LoadHalf(base + rows[dim + 2]), c);
      d = hn::MulAdd(hn::Set(df, q[dim + 3]), LoadHalf(base + rows[dim + 3]), d);
    }
    hn::StoreU(hn::Add(hn::Add(a, b), hn::Add(c, d)), df, scores + lane);
  }
}

void ScoreBlocks(const BoundsView& bounds, const float* HWY_RESTRICT q,
                 float* HWY_RESTRICT scores) {
  const size_t head_dim = bounds.head_dim;
  uint32_t rows[kMaxHeadDim];
  for (size_t dim = 0; dim < head_dim; ++dim) {
    const size_t row = q[dim] > 0.0F ? dim : head_dim + dim;
    rows[dim] = static_cast<uint32_t>(row * kBoundsGroupBlocks * 2);
  }
  const size_t n_groups = (bounds.n_blocks + kBoundsGroupBlocks - 1) / kBoundsGroupBlocks;
  for (size_t g = 0; g < n_groups; ++g) {
    const std::byte* group = bounds.base + bounds.pages[g] * bounds.page_stride;
    if (g + 1 < n_groups) {
      const std::byte* next = bounds.base + bounds.pages[g + 1] * bounds.page_stride;
      for (size_t i = 0; i < head_dim; i += 2) hwy::Prefetch(next + rows[i]);
    }
    const size_t first = g * kBoundsGroupBlocks;
    if (first + kBoundsGroupBlocks <= bounds.n_blocks) {
      ScoreGroup(group, rows, q, head_dim, scores + first);
    } else {
      HWY_ALIGN float last[kBoundsGroupBlocks];
      ScoreGroup(group, rows, q, head_dim, last);
      for (size_t i = first; i < bounds.n_blocks; ++i) scores[i] = last[i - first];
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace longhaul
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longhaul {

HWY_EXPORT(ScoreBlocks);

void score_blocks(const BoundsView& bounds, const float* q, float* scores) {
  HWY_DYNAMIC_DISPATCH(ScoreBlocks)(bounds, q, scores);
}

}  // namespace longhaul
#endif  // HWY_ONCE
