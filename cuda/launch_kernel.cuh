// Launches of kernels that follow each other closely.
//
// A kernel may be launched while the last blocks of the one before it still run, which hides the
// time that a launch takes (from compute capability 9 on). So every kernel begins with
// wait_for_earlier(), before it reads or writes anything that another one writes or reads: one that
// did not would let the next begin before those ahead of it are done. What no kernel writes, weights
// above all, may be asked for before it waits.
#pragma once

#include <cstdint>

#include "cuda/launch.h"

namespace longhaul::cuda {

// Until all kernels before this one are done and what they wrote can be read.
__device__ __forceinline__ void wait_for_those_before() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
// The next kernel may be launched once all blocks came here, or ended.
__device__ __forceinline__ void let_next_launch() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
__device__ __forceinline__ void wait_for_earlier() {
  wait_for_those_before();
  let_next_launch();
}

// Lets a kernel have that much dynamic shared memory, and the multiprocessors keep as much of it as
// they can: several blocks of threads are to fit.
template <class Kernel>
cudaError_t allow_shared_memory(Kernel* kernel, uint32_t n_bytes) {
  const cudaError_t status = cudaFuncSetAttribute(
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(n_bytes));
  if (status != cudaSuccess) return status;
  return cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                              cudaSharedmemCarveoutMaxShared);
}

struct LaunchShape {
  dim3 grid;
  uint32_t n_threads;
  uint32_t n_bytes = 0;  // of dynamic shared memory
};

template <class... Parameters, class... Args>
void launch_kernel(cudaStream_t stream, void (*kernel)(Parameters...), const LaunchShape& shape,
                   const Args&... args) {
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = shape.grid;
  config.blockDim = dim3(shape.n_threads);
  config.dynamicSmemBytes = shape.n_bytes;
  config.stream = stream;
  config.attrs = &attribute;
  config.numAttrs = launches_early() ? 1 : 0;
  LH_CUDA(cudaLaunchKernelEx(&config, kernel, args...));
}

}  // namespace longhaul::cuda
