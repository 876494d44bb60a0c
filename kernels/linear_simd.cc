// The matrix kernels on every target of Highway.
#include <cstring>

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
#include "kernels/linear_dot-inl.h"
#include "kernels/linear_float-inl.h"
#include "kernels/linear_quantise-inl.h"
#include "kernels/linear_rows-inl.h"
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
