#include "kernels/reference/half_tiles.h"

#include <cmath>

#include "quant/half.h"

namespace longhaul::reference {

double multiply_row(const HalfMatrixView& matrix, size_t row, const float* x, double& magnitude) {
  const size_t index = row / kHalfTileRows;
  const size_t place = matrix.pages != nullptr ? matrix.pages[index] : index;
  const std::byte* tile = matrix.base + place * matrix.tile_stride;
  double sum = 0;
  magnitude = 0;
  for (size_t j = 0; j < matrix.n_cols; ++j) {
    const float weight = read_f16(tile + (j * kHalfTileRows + row % kHalfTileRows) * 2);
    const double product = static_cast<double>(weight) * static_cast<double>(x[j]);
    sum += product;
    magnitude += std::abs(product);
  }
  return sum;
}

}  // namespace longhaul::reference
