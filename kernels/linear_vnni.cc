// The matrix kernels with AVX-512 VNNI: one instruction multiplies 16 rows by 4 activations. The
// loops are those of linear_simd.cc, compiled once more for Highway's AVX3 with VNNI added, since
// no target of Highway 1.0.3 has it.
#include <cstring>

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

// The sum of the products of some groups of codes, whatever their size, with their activations.
constexpr bool kCodesOfOneSize = true;
template <size_t kBits>
class Dot {
 public:
  static constexpr bool kSigned = false;
  using Weight = V8;
  static HWY_INLINE Weight weight(V8 codes) { return codes; }
  Dot() = default;
  explicit HWY_INLINE Dot(VI initial) : sum_(initial) {}
  HWY_INLINE void add(size_t /*group*/, Weight w, Quad a) {
    sum_ = VI{_mm512_dpbusd_epi32(sum_.raw, w.raw, a.raw)};
  }
  HWY_INLINE VI total() const { return sum_; }

 private:
  VI sum_;
};

#include "kernels/linear_float-inl.h"
#include "kernels/linear_quantise-inl.h"
#include "kernels/linear_rows-inl.h"
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
  // Asked once: Highway asks the processor each time, which under a hypervisor takes microseconds.
  static const bool usable =
      (hwy::SupportedTargets() & HWY_AVX3) != 0 && __builtin_cpu_supports("avx512vnni") != 0;
  return usable ? &N_AVX3::vnni_table() : nullptr;
}
#else
const LinearKernels* vnni_linear_kernels() { return nullptr; }
#endif

}  // namespace longhaul
#endif
