#include "cuda/runtime.h"

#include <fmt/format.h>

#include <atomic>
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

namespace {

bool card_launches_early() {
  int device = 0;
  int major = 0;
  LH_CUDA(cudaGetDevice(&device));
  LH_CUDA(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
  return major >= 9;
}

std::atomic<bool> early_allowed = true;

}  // namespace

bool launches_early() {
  static const bool can = card_launches_early();
  return can && early_allowed;
}
void allow_early_launches(bool allowed) { early_allowed = allowed; }

}  // namespace longhaul::cuda
