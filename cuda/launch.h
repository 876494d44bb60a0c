// What kernels and their launches use of the CUDA runtime. Included by files of this room only: no
// CUDA type leaves it. Without {fmt}, which nvcc cannot compile.
#pragma once

#include <cuda_runtime.h>

#include "base/check.h"

namespace longhaul::cuda {

// Ends the process with the place and the runtime's words: for calls that fail only where the
// program or the card is broken.
[[noreturn]] void runtime_failed(const char* file, int line, cudaError_t status);

// Whether kernels are launched before those ahead of them are done (launch_kernel.cuh): where the
// card can, unless that was turned off, to compare. Changes no bit.
bool launches_early();
void allow_early_launches(bool allowed);

}  // namespace longhaul::cuda

#define LH_CUDA(call)                                                       \
  do {                                                                      \
    const cudaError_t lh_cuda_status = (call);                              \
    if (lh_cuda_status != cudaSuccess)                                      \
      ::longhaul::cuda::runtime_failed(__FILE__, __LINE__, lh_cuda_status); \
  } while (false)
