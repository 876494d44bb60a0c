// Matrices in half precision, in tiles of 16 rows so that a lane is a row: the weights of gates,
// and gate keys (a row is a block).
//
//   tile: [n_cols][16 rows] f16
#pragma once

#include <cstddef>
#include <cstdint>

namespace longhaul {

inline constexpr size_t kHalfTileRows = 16;

// Bytes of one tile. n_cols is a multiple of 32.
inline size_t half_tile_bytes(size_t n_cols) { return n_cols * kHalfTileRows * sizeof(uint16_t); }

// Rounds `values` [n_cols] to f16 and makes them row `row` of 16 of the tile / reads that row back.
void half_tile_set_row(std::byte* tile, size_t row, const float* values, size_t n_cols);
void half_tile_read_row(const std::byte* tile, size_t row, float* values, size_t n_cols);

// A matrix [n_rows, n_cols]: row i is row i % 16 of the tile at base + t * tile_stride, where t is
// pages[i / 16], or i / 16 without a page table. n_cols is a multiple of 32 and may be less than
// the tiles have: the columns from `base` on.
struct HalfMatrixView {
  const std::byte* base = nullptr;
  size_t tile_stride = 0;           // bytes
  const uint32_t* pages = nullptr;  // [ceil(n_rows / 16)]
  size_t n_rows = 0;
  size_t n_cols = 0;
};

// out[i] = sum_j row_i[j] * x[j] for i < n_rows, in f32: four sums over j % 4 = 0 .. 3, each in
// ascending order, added as (0 + 1) + (2 + 3). `out` may not overlap x.
void multiply(const HalfMatrixView& matrix, const float* x, float* out);

}  // namespace longhaul
