// Launches of kernels, also of such that follow each other closely.
//
// A kernel launched early may start while the last blocks of the one before it still run, which
// hides the time that a launch takes. It begins with wait_for_earlier(), so that it sees all that
// was written before it; every kernel does so, since one that is launched early is allowed to begin
// when the one before has begun, whatever that waits for.
#pragma once

#include <cstdint>

#include "cuda/launch.h"

namespace longhaul::cuda {

// At the start of a kernel: until all kernels before it are done and what they wrote can be read;
// then lets the next one launch. Nothing where it was not launched early.
__device__ __forceinline__ void wait_for_earlier() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
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
  bool early = false;    // needs compute capability 9
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
  config.numAttrs = shape.early ? 1 : 0;
  LH_CUDA(cudaLaunchKernelEx(&config, kernel, args...));
}

}  // namespace longhaul::cuda
