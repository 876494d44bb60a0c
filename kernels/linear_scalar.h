// The matrix kernels in plain C++, on the same panels: for processors without any vector set that
// Highway knows, and an independent reading of the panel layout for the tests.
#pragma once

#include "kernels/linear_kernels.h"

namespace longhaul {

const LinearKernels& scalar_linear_kernels();

}  // namespace longhaul
