// Attention in the obvious way and in double, for tests.
#pragma once

#include "kernels/attention.h"

namespace longhaul::reference {

// As longhaul::attend for one job, reading tokens with read_k and read_v.
void attend(const AttentionJob& job);

// As longhaul::attend for one job in int8 arithmetic: with the roundings of q and p that
// kernels/attention.h defines for q8_0 K and V, everything else in double.
void attend_int8(const AttentionJob& job);

}  // namespace longhaul::reference
