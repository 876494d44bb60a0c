// How fast this processor multiplies 8-bit integers: what the matrix and attention kernels are
// measured against.
#pragma once

#include <cstddef>

#include "parallel/thread_pool.h"

namespace longhaul {

struct DotPeak {
  const char* instruction;  // the one measured: the best that the kernels use on this processor
  double ops_per_s;         // a multiplication and an addition are two; all threads of the pool
};

// Runs the instruction on registers alone, the best of several passes; takes a tenth of a second.
DotPeak measure_dot_peak(ThreadPool& pool);

}  // namespace longhaul
