// Attention in 8-bit integers with AVX-VNNI: the loops of attention_int8.cc, compiled once more for
// Highway's AVX2 with that instruction, since no target of Highway 1.0.3 has it.
#include <limits>

#include "hwy/detect_targets.h"

#if HWY_ARCH_X86
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSE4 | HWY_SSSE3 | HWY_AVX3)
#endif
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention_avx_vnni.cc"
#include "hwy/foreach_target.h"
// foreach_target.h comes first
#include "hwy/highway.h"
#include "kernels/attention_int8.h"
#include "kernels/attention_math-inl.h"
#include "kernels/kv_tile_layout.h"
#include "kernels/vnni.h"

#if HWY_TARGET == HWY_AVX2
HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR ",avxvnni")
namespace longhaul::attention {
namespace HWY_NAMESPACE {
namespace {
#include "kernels/hwy_compat-inl.h"

using D8 = hn::Repartition<uint8_t, DF>;
using V8 = hn::Vec<D8>;
using VI = hn::Vec<DI>;

// One instruction multiplies the 4 bytes of a lane.
constexpr size_t kWords = 1;
using Word = V8;

template <class V>
HWY_INLINE V unsigned_word(size_t, V bytes) {
  return bytes;
}
template <class V>
HWY_INLINE V signed_word(size_t, V bytes) {
  return bytes;
}

class Sum {
 public:
  HWY_INLINE void set_zero() { sum_ = hn::Zero(DI()); }
  // In assembly, because GCC 12 surrounds the intrinsic with copies and keeps the sums in memory.
  HWY_INLINE void add(Word u, Word s) {
    asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum_.raw) : "x"(u.raw), "x"(s.raw));
  }
  HWY_INLINE VI total() const { return sum_; }

 private:
  VI sum_;
};

#include "kernels/attention_int8-inl.h"

}  // namespace

const Int8Kernels& avx_vnni_table() {
  static constexpr Int8Kernels kTable = table_named("avxvnni");
  return kTable;
}

}  // namespace HWY_NAMESPACE
}  // namespace longhaul::attention
HWY_POP_ATTRIBUTES
#endif

#if HWY_ONCE
namespace longhaul::attention {

#if (HWY_TARGETS & HWY_AVX2)
namespace N_AVX2 {
const Int8Kernels& avx_vnni_table();
}
const Int8Kernels* avx_vnni_int8_kernels() {
  static const bool kUsable = has_avx_vnni();
  return kUsable ? &N_AVX2::avx_vnni_table() : nullptr;
}
#else
const Int8Kernels* avx_vnni_int8_kernels() { return nullptr; }
#endif

}  // namespace longhaul::attention
#endif
