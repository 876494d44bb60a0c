// The matrix kernels with AVX-512 VNNI: one instruction multiplies 16 rows by 4 activations. The
// loops are those of linear_simd.cc, compiled once more for Highway's AVX3 with VNNI added, since
// no target of Highway 1.0.3 has it.
#include "hwy/detect_targets.h"

#if HWY_ARCH_X86_64
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_AVX2 | HWY_SSE4 | HWY_SSSE3)
#endif
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/linear_vnni.cc"
#include "hwy/foreach_target.h"
// foreach_target.h comes first
#include "hwy/highway.h"
#include "kernels/linear_kernels.h"

#if HWY_TARGET == HWY_AVX3
HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avx512vnni")
namespace longhaul {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;
#include "kernels/hwy_compat-inl.h"
#include "kernels/linear_unpack-inl.h"

using Quad = VI;  // 4 activations in every lane

HWY_INLINE Quad load_quad(const int8_t* q) {
  int32_t bits;
  hwy::CopyBytes<4>(q, &bits);
  return hn::Set(DI(), bits);
}

HWY_INLINE VI dot_quads(VI dots, V8 codes, Quad a) {
  return VI{_mm512_dpbusd_epi32(dots.raw, codes.raw, a.raw)};
}

#include "kernels/linear_quantise-inl.h"
#include "kernels/linear_tile-inl.h"

}  // namespace

const LinearKernels& vnni_table() {
  static constexpr LinearKernels kTable = {"avx512vnni", quantise_rows, find_kernel};
  return kTable;
}

}  // namespace HWY_NAMESPACE
}  // namespace longhaul
HWY_POP_ATTRIBUTES
#endif

#if HWY_ONCE
namespace longhaul {

#if (HWY_TARGETS & HWY_AVX3)
namespace N_AVX3 {
const LinearKernels& vnni_table();
}

const LinearKernels* vnni_linear_kernels() {
  const bool usable =
      (hwy::SupportedTargets() & HWY_AVX3) != 0 && __builtin_cpu_supports("avx512vnni") != 0;
  return usable ? &N_AVX3::vnni_table() : nullptr;
}
#else
const LinearKernels* vnni_linear_kernels() { return nullptr; }
#endif

}  // namespace longhaul
#endif
