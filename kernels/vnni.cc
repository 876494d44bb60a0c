#include "kernels/vnni.h"

#include "hwy/highway.h"

#if HWY_ARCH_X86
#include <cpuid.h>

namespace longhaul {

bool has_avx512_vnni() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}

// Leaf 7.1, EAX, bit 4: clang 14 has no name for it in __builtin_cpu_supports.
bool has_avx_vnni() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return (hwy::SupportedTargets() & HWY_AVX2) != 0 &&
         __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 4 & 1) != 0;
}

}  // namespace longhaul

#else

namespace longhaul {

bool has_avx512_vnni() { return false; }
bool has_avx_vnni() { return false; }

}  // namespace longhaul

#endif
