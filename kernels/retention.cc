// Retention on every target of Highway.
#include "kernels/retention.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/retention.cc"
#include "hwy/foreach_target.h"
// foreach_target.h comes first
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace longhaul {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

// At most 16 numbers a vector, so that two of them fit in kRetentionStep.
using DF = hn::CappedTag<float, kRetentionStep / 2>;
using VF = hn::Vec<DF>;

constexpr size_t kTileRows = 4;
// Tokens that a tile stays in registers for. Their rows of `out` are read and written once for
// each tile above one another, and must stay in the first-level cache whatever their stride.
constexpr size_t kRunTokens = 16;

// Rows [row, row + kTileRows) and two vectors of columns of the state.
struct Tile {
  size_t row, column;
};

// The tokens [t, end) through one tile; `out` gets its share of q state.
HWY_INLINE void run_tile(const RetentionJob& job, Tile tile, size_t t, size_t end) {
  const DF d;
  const size_t n_lanes = hn::Lanes(d);
  float* const state = job.state + tile.row * job.value_dim + tile.column;
  VF a[kTileRows], b[kTileRows];
  for (size_t r = 0; r < kTileRows; ++r) {
    a[r] = hn::LoadU(d, state + r * job.value_dim);
    b[r] = hn::LoadU(d, state + r * job.value_dim + n_lanes);
  }
  for (; t < end; ++t) {
    const float* const k = job.k + t * job.k_stride + tile.row;
    const float* const q = job.q + t * job.q_stride + tile.row;
    const float* const v = job.v + t * job.v_stride + tile.column;
    float* const out = job.out + t * job.out_stride + tile.column;
    const VF decay = hn::Set(d, job.decay[t]);
    const VF va = hn::LoadU(d, v), vb = hn::LoadU(d, v + n_lanes);
    VF oa = tile.row == 0 ? hn::Zero(d) : hn::LoadU(d, out);
    VF ob = tile.row == 0 ? hn::Zero(d) : hn::LoadU(d, out + n_lanes);
    for (size_t r = 0; r < kTileRows; ++r) {
      const VF key = hn::Set(d, k[r]), query = hn::Set(d, q[r]);
      a[r] = hn::MulAdd(key, va, hn::Mul(a[r], decay));
      b[r] = hn::MulAdd(key, vb, hn::Mul(b[r], decay));
      oa = hn::MulAdd(query, a[r], oa);
      ob = hn::MulAdd(query, b[r], ob);
    }
    hn::StoreU(oa, d, out);
    hn::StoreU(ob, d, out + n_lanes);
  }
  for (size_t r = 0; r < kTileRows; ++r) {
    hn::StoreU(a[r], d, state + r * job.value_dim);
    hn::StoreU(b[r], d, state + r * job.value_dim + n_lanes);
  }
}

void retain(const RetentionJob& job, size_t first, size_t n) {
  const size_t n_columns = 2 * hn::Lanes(DF());
  for (size_t t = 0; t < job.n_rows; t += kRunTokens) {
    const size_t end = std::min(job.n_rows, t + kRunTokens);
    for (size_t column = first; column < first + n; column += n_columns) {
      for (size_t row = 0; row < job.key_dim; row += kTileRows)
        run_tile(job, {row, column}, t, end);
    }
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace longhaul
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "base/check.h"

namespace longhaul {

HWY_EXPORT(retain);

void retain(const RetentionJob& job, size_t first, size_t n) {
  LH_CHECK(job.key_dim % kRetentionStep == 0 && job.value_dim % kRetentionStep == 0);
  LH_CHECK(first % kRetentionStep == 0 && n % kRetentionStep == 0 && first + n <= job.value_dim);
  HWY_DYNAMIC_DISPATCH(retain)(job, first, n);
}

}  // namespace longhaul
#endif
