#include "kernels/half_tiles.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "kernels/per_target_test.h"
#include "kernels/reference/half_tiles.h"
#include "quant/half.h"

namespace longhaul {
namespace {

constexpr float kSentinel = 77.0F;

std::vector<float> normal(size_t n, unsigned seed) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> draw;
  std::vector<float> values(n);
  for (float& value : values) value = draw(rng);
  return values;
}

// A random matrix on permuted pages, tiles 64 bytes apart; rows past the last hold NaN.
struct Matrix {
  std::vector<std::byte> arena;
  std::vector<uint32_t> pages;
  HalfMatrixView view;

  Matrix(size_t n_rows, size_t n_cols) {
    const size_t n_tiles = (n_rows + kHalfTileRows - 1) / kHalfTileRows;
    view = {.tile_stride = half_tile_bytes(n_cols) + 64, .n_rows = n_rows, .n_cols = n_cols};
    arena.assign(n_tiles * view.tile_stride, std::byte{0x7F});
    for (size_t t = 0; t < n_tiles; ++t) pages.push_back(static_cast<uint32_t>(n_tiles - 1 - t));
    const std::vector<float> values = normal(n_rows * n_cols, 1);
    for (size_t i = 0; i < n_rows; ++i) {
      half_tile_set_row(arena.data() + pages[i / kHalfTileRows] * view.tile_stride,
                        i % kHalfTileRows, &values[i * n_cols], n_cols);
    }
    view.base = arena.data();
    view.pages = pages.data();
  }
};

class HalfTiles : public PerTargetTest {};
HWY_TARGET_INSTANTIATE_TEST_SUITE_P(HalfTiles);

void expect_product(const HalfMatrixView& view) {
  const std::vector<float> x = normal(view.n_cols, 2);
  std::vector<float> out(view.n_rows + 1, kSentinel);
  multiply(view, x.data(), out.data());
  for (size_t i = 0; i < view.n_rows; ++i) {
    double magnitude;
    const double expected = reference::multiply_row(view, i, x.data(), magnitude);
    // Of n terms each is rounded at most n times, where products are not fused n + 1.
    const double tolerance = static_cast<double>(view.n_cols + 1) * 0x1p-24 * magnitude;
    EXPECT_NEAR(static_cast<double>(out[i]), expected, tolerance) << view.n_rows << " row " << i;
  }
  EXPECT_EQ(out.back(), kSentinel);
}

TEST_P(HalfTiles, MultiplyIsTheProductByDefinition) {
  for (const size_t n_cols : {32, 64, 96, 448}) {
    for (const size_t n_rows : {0, 1, 7, 15, 16, 17, 31, 32, 33, 100}) {
      expect_product(Matrix(n_rows, n_cols).view);
    }
  }
}

TEST_P(HalfTiles, WithoutPagesTilesStandInOrder) {
  Matrix matrix(64, 32);
  std::sort(matrix.pages.begin(), matrix.pages.end());
  const std::vector<float> x = normal(32, 3);
  std::vector<float> expected(64), found(64);
  multiply(matrix.view, x.data(), expected.data());
  matrix.view.pages = nullptr;
  multiply(matrix.view, x.data(), found.data());
  EXPECT_EQ(found, expected);
}

TEST_P(HalfTiles, SomeOfTheColumnsAreAMatrix) {
  const Matrix matrix(40, 96);
  HalfMatrixView middle = matrix.view;
  middle.base += half_tile_bytes(32);
  middle.n_cols = 32;
  expect_product(middle);
}

TEST_P(HalfTiles, ARowHasTheSameBitsAmongOthers) {
  const Matrix matrix(48, 64);
  const std::vector<float> x = normal(64, 4);
  std::vector<float> all(48), few(48);
  multiply(matrix.view, x.data(), all.data());
  for (size_t n = 1; n < 48; ++n) {
    HalfMatrixView first = matrix.view;
    first.n_rows = n;
    multiply(first, x.data(), few.data());
    EXPECT_EQ(few[n - 1], all[n - 1]) << n;
  }
}

TEST(HalfTile, RowsComeBackRounded) {
  const std::vector<float> values = normal(32, 5);
  std::vector<std::byte> tile(half_tile_bytes(32));
  half_tile_set_row(tile.data(), 3, values.data(), 32);
  std::vector<float> found(32);
  half_tile_read_row(tile.data(), 3, found.data(), 32);
  for (size_t j = 0; j < 32; ++j) EXPECT_EQ(found[j], f16_to_f32(f32_to_f16(values[j])));
  half_tile_read_row(tile.data(), 4, found.data(), 32);
  EXPECT_EQ(found, std::vector<float>(32, 0.0F));
}

}  // namespace
}  // namespace longhaul
