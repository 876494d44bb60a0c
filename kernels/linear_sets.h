// Every instruction set that matrix products have kernels for, for tests and benchmarks.
#pragma once

#include <cstdint>
#include <vector>

#include "hwy/targets.h"
#include "kernels/linear_kernels.h"

namespace longhaul {

// The tables of this processor, the best first.
inline std::vector<const LinearKernels*> all_linear_kernels() {
  std::vector<const LinearKernels*> tables;
  for (const LinearKernels* vnni : {avx512_vnni_linear_kernels(), avx_vnni_linear_kernels()}) {
    if (vnni != nullptr) tables.push_back(vnni);
  }
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    tables.push_back(&simd_linear_kernels());
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  return tables;
}

}  // namespace longhaul
