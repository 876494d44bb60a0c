// multiply() of kernels/half_tiles.h by definition, for tests.
#pragma once

#include "kernels/half_tiles.h"

namespace longhaul::reference {

// Element `row` of the product, in double; `magnitude` becomes the sum of the products' magnitudes.
double multiply_row(const HalfMatrixView& matrix, size_t row, const float* x, double& magnitude);

}  // namespace longhaul::reference
