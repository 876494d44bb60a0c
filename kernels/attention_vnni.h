// Attention over one group of 64 tokens in int8, for q8_0 tiles on CPUs with AVX512-VNNI. See
// attention.h for the numbers.
#pragma once

#include <cstddef>

#include "kernels/attention_kernel.h"

namespace longhaul::attention {

// Whether this CPU and operating system have AVX-512 F, BW, DQ, VL and VNNI.
bool has_vnni();

}  // namespace longhaul::attention
