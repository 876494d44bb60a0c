// multiply() for every SIMD target: lane = row, one ascending stream, no sum across lanes.
#include "kernels/half_tiles.h"

#include <cstring>

#include "quant/half.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/half_tiles.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/kv_tile_f16-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longhaul {
namespace HWY_NAMESPACE {

constexpr size_t kColumnBytes = kHalfTileRows * sizeof(uint16_t);

// out[16] = the rows of one tile times x.
HWY_INLINE void MultiplyTile(const std::byte* HWY_RESTRICT tile, const float* HWY_RESTRICT x,
                             size_t n_cols, float* HWY_RESTRICT out) {
  const DF df;
  for (size_t row = 0; row < kHalfTileRows; row += hn::Lanes(df)) {
    const std::byte* column = tile + row * sizeof(uint16_t);
    VF sum0 = hn::Zero(df);
    VF sum1 = hn::Zero(df);
    VF sum2 = hn::Zero(df);
    VF sum3 = hn::Zero(df);
    for (size_t j = 0; j < n_cols; j += 4, column += 4 * kColumnBytes) {
      sum0 = hn::MulAdd(LoadHalf(column), hn::Set(df, x[j]), sum0);
      sum1 = hn::MulAdd(LoadHalf(column + kColumnBytes), hn::Set(df, x[j + 1]), sum1);
      sum2 = hn::MulAdd(LoadHalf(column + 2 * kColumnBytes), hn::Set(df, x[j + 2]), sum2);
      sum3 = hn::MulAdd(LoadHalf(column + 3 * kColumnBytes), hn::Set(df, x[j + 3]), sum3);
    }
    hn::StoreU(hn::Add(hn::Add(sum0, sum1), hn::Add(sum2, sum3)), df, out + row);
  }
}

void Multiply(const HalfMatrixView& matrix, const float* HWY_RESTRICT x, float* HWY_RESTRICT out) {
  for (size_t first = 0; first < matrix.n_rows; first += kHalfTileRows) {
    const size_t index = first / kHalfTileRows;
    const size_t place = matrix.pages != nullptr ? matrix.pages[index] : index;
    const std::byte* tile = matrix.base + place * matrix.tile_stride;
    if (first + kHalfTileRows <= matrix.n_rows) {
      MultiplyTile(tile, x, matrix.n_cols, out + first);
    } else {
      HWY_ALIGN float last[kHalfTileRows];
      MultiplyTile(tile, x, matrix.n_cols, last);
      for (size_t i = first; i < matrix.n_rows; ++i) out[i] = last[i - first];
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace longhaul
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longhaul {

HWY_EXPORT(Multiply);

void half_tile_set_row(std::byte* tile, size_t row, const float* values, size_t n_cols) {
  for (size_t j = 0; j < n_cols; ++j) {
    const uint16_t half = f32_to_f16(values[j]);
    std::memcpy(tile + (j * kHalfTileRows + row) * sizeof(half), &half, sizeof(half));
  }
}

void half_tile_read_row(const std::byte* tile, size_t row, float* values, size_t n_cols) {
  for (size_t j = 0; j < n_cols; ++j) {
    values[j] = read_f16(tile + (j * kHalfTileRows + row) * sizeof(uint16_t));
  }
}

void multiply(const HalfMatrixView& matrix, const float* x, float* out) {
  HWY_DYNAMIC_DISPATCH(Multiply)(matrix, x, out);
}

}  // namespace longhaul
#endif  // HWY_ONCE
