#include "cuda/runtime.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

namespace longhaul::cuda {

Status check(cudaError_t status, std::string_view what) {
  if (status == cudaSuccess) return {};
  (void)cudaGetLastError();  // the runtime keeps it otherwise
  const bool full = status == cudaErrorMemoryAllocation;
  return make_error(full ? ErrorCode::kOutOfMemory : ErrorCode::kUnsupported, "CUDA: {}: {}", what,
                    cudaGetErrorString(status));
}

void runtime_failed(const char* file, int line, cudaError_t status) {
  fmt::print(stderr, "{}:{}: CUDA: {}\n", file, line, cudaGetErrorString(status));
  std::abort();
}

}  // namespace longhaul::cuda
