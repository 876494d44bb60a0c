// The matrix kernels with VNNI: one instruction multiplies 16 rows (AVX-512) or 8 (AVX-VNNI) by 4
// activations. The loops are those of linear_simd.cc, compiled once more for Highway's AVX3 and
// AVX2 with VNNI added, since no target of Highway 1.0.3 has it.
#include <cstring>

#include "hwy/detect_targets.h"

#if HWY_ARCH_X86
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSE4 | HWY_SSSE3)
#endif
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/linear_vnni.cc"
#include "hwy/foreach_target.h"
// foreach_target.h comes first
#include "hwy/highway.h"
#include "kernels/linear_kernels.h"
#include "kernels/vnni.h"

#undef LH_VNNI
#if HWY_TARGET == HWY_AVX3
#define LH_VNNI "avx512vnni"
#elif HWY_TARGET == HWY_AVX2
#define LH_VNNI "avxvnni"
#endif

#ifdef LH_VNNI
HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR "," LH_VNNI)
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

// Every lane: sum + the products of 4 unsigned with 4 signed bytes.
HWY_INLINE VI add_products(VI sum, V8 codes, Quad a) {
#if HWY_TARGET == HWY_AVX3
  return VI{_mm512_dpbusd_epi32(sum.raw, codes.raw, a.raw)};
#else
  return VI{_mm256_dpbusd_avx_epi32(sum.raw, codes.raw, a.raw)};
#endif
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
  HWY_INLINE void add(size_t /*group*/, Weight w, Quad a) { sum_ = add_products(sum_, w, a); }
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
  static constexpr LinearKernels kTable = {LH_VNNI, quantise_rows, find_kernel};
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

// The processor is asked once: under a hypervisor that takes microseconds.
const LinearKernels* avx512_vnni_linear_kernels() {
  static const bool kUsable = (hwy::SupportedTargets() & HWY_AVX3) != 0 && has_avx512_vnni();
  return kUsable ? &N_AVX3::vnni_table() : nullptr;
}
#else
const LinearKernels* avx512_vnni_linear_kernels() { return nullptr; }
#endif

#if (HWY_TARGETS & HWY_AVX2)
namespace N_AVX2 {
const LinearKernels& vnni_table();
}

const LinearKernels* avx_vnni_linear_kernels() {
  static const bool kUsable = has_avx_vnni();
  return kUsable ? &N_AVX2::vnni_table() : nullptr;
}
#else
const LinearKernels* avx_vnni_linear_kernels() { return nullptr; }
#endif

}  // namespace longhaul
#endif
