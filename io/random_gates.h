// Gates with random weights, to measure speed and to test what must hold for any weights.
#pragma once

#include <cstdint>

#include "io/gate_file.h"

namespace longhaul {

// Matrices of normal values of deviation 1 / sqrt(inputs), norm weights around 1, for every layer
// of `base`.
GateWeights random_gates(GateBase base, size_t block_size, size_t dim, uint64_t seed);

}  // namespace longhaul
