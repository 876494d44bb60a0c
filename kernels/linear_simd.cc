// The matrix kernels on every target of Highway.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/linear_simd.cc"
#include "hwy/foreach_target.h"
// foreach_target.h comes first
#include "hwy/highway.h"
#include "kernels/linear_kernels.h"
#include "kernels/linear_scalar.h"

HWY_BEFORE_NAMESPACE();
namespace longhaul {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;
#include "kernels/hwy_compat-inl.h"

#if LH_HAVE_VECTORS
#include "kernels/linear_unpack-inl.h"

// 4 activations in every lane, as 16-bit pairs: inputs 0 and 2, inputs 1 and 3.
using D16 = hn::Repartition<int16_t, DF>;
struct Quad {
  hn::Vec<D16> even, odd;
};

HWY_INLINE Quad load_quad(const int8_t* q) {
  int32_t bits;
  hwy::CopyBytes<4>(q, &bits);
  const auto both = hn::BitCast(D16(), hn::Set(DI(), bits));
  return {hn::ShiftRight<8>(hn::ShiftLeft<8>(both)), hn::ShiftRight<8>(both)};
}

// dots + the 4 products of each lane; |code * q| < 2^15, so that pairs of products fit in 32 bits.
HWY_INLINE VI dot_quads(VI dots, V8 codes, Quad a) {
  const hn::RebindToUnsigned<D16> du16;
  const auto both = hn::BitCast(du16, codes);
  const auto even = hn::BitCast(D16(), hn::And(both, hn::Set(du16, 0xFF)));
  const auto odd = hn::BitCast(D16(), hn::ShiftRight<8>(both));
  return hn::Add(dots, hn::Add(mul_pairs(DI(), even, a.even), mul_pairs(DI(), odd, a.odd)));
}

#include "kernels/linear_quantise-inl.h"
#include "kernels/linear_tile-inl.h"

#endif  // LH_HAVE_VECTORS

}  // namespace

const LinearKernels& linear_table() {
#if LH_HAVE_VECTORS
  static const LinearKernels kTable = {hwy::TargetName(HWY_TARGET), quantise_rows, find_kernel};
  return kTable;
#else
  return scalar_linear_kernels();
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace longhaul
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longhaul {

HWY_EXPORT(linear_table);

const LinearKernels& simd_linear_kernels() { return HWY_DYNAMIC_DISPATCH(linear_table)(); }

}  // namespace longhaul
#endif
