// The table of operations on an NVIDIA GPU.
#pragma once

#include <memory>

#include "model/backend.h"

namespace longhaul::cuda {

// On the first device. Error: no device, a driver that is too old, or a card without what the
// kernels need; it says what was found.
Result<std::unique_ptr<Backend>> make_backend();

}  // namespace longhaul::cuda
