// Attention in the obvious way and in double, for tests.
#pragma once

#include "kernels/attention.h"

namespace longhaul::reference {

// As longhaul::attend for one job, reading tokens with read_k and read_v.
void attend(const AttentionJob& job);

}  // namespace longhaul::reference
