// Attention in 8-bit integers on every target of Highway: bytes are multiplied as pairs of 16 bits.
#include "kernels/attention_int8.h"

#include <limits>

#include "kernels/kv_tile_layout.h"

// GCC warns of its own _mm512_undefined_* (its bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention_int8.cc"
#include <hwy/foreach_target.h>
// foreach_target.h comes first
#include <hwy/highway.h>

#include "kernels/attention_math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace longhaul::attention {
namespace HWY_NAMESPACE {
namespace {
#include "kernels/hwy_compat-inl.h"

#if LH_HAVE_VECTORS
using D8 = hn::Repartition<uint8_t, DF>;
using V8 = hn::Vec<D8>;
using VI = hn::Vec<DI>;

// First bytes 0 and 2 of a lane, then 1 and 3, as 16 bits each: unsigned times signed bytes, two
// of them added, are too large for the 16 bits in which x86 multiplies bytes themselves.
constexpr size_t kWords = 2;
using Word = hn::Vec<hn::Repartition<int16_t, DF>>;

template <class V>
HWY_INLINE auto unsigned_word(size_t word, V bytes) {
  const hn::Repartition<uint16_t, hn::DFromV<V>> du16;
  const auto both = hn::BitCast(du16, bytes);
  return hn::BitCast(hn::RebindToSigned<decltype(du16)>(),
                     word == 0 ? hn::And(both, hn::Set(du16, 0xFF)) : hn::ShiftRight<8>(both));
}

template <class V>
HWY_INLINE auto signed_word(size_t word, V bytes) {
  const hn::Repartition<int16_t, hn::DFromV<V>> d16;
  const auto both = hn::BitCast(d16, bytes);
  return hn::ShiftRight<8>(word == 0 ? hn::ShiftLeft<8>(both) : both);
}

class Sum {
 public:
  HWY_INLINE void set_zero() { sum_ = other_ = hn::Zero(DI()); }
  HWY_INLINE void add(Word a, Word b) {
    sum_ = hn::ReorderWidenMulAccumulate(DI(), a, b, sum_, other_);
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_SSSE3
    asm("" : "+x"(sum_.raw));  // or GCC 12 adds products up first and has no register left
#endif
  }
  HWY_INLINE VI total() const { return hn::RearrangeToOddPlusEven(sum_, other_); }

 private:
  VI sum_;
  VI other_;  // targets other than x86 put some of the products here
};

#include "kernels/attention_int8-inl.h"
#endif  // LH_HAVE_VECTORS

}  // namespace

const Int8Kernels* int8_table() {
#if LH_HAVE_VECTORS
  static const Int8Kernels kTable = table_named(hwy::TargetName(HWY_TARGET));
  return &kTable;
#else
  return nullptr;
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace longhaul::attention
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace longhaul::attention {

HWY_EXPORT(int8_table);

const Int8Kernels* simd_int8_kernels() { return HWY_DYNAMIC_DISPATCH(int8_table)(); }

const Int8Kernels* best_int8_kernels() {
  if (const Int8Kernels* kernels = avx512_vnni_int8_kernels()) return kernels;
  if (const Int8Kernels* kernels = avx_vnni_int8_kernels()) return kernels;
  return simd_int8_kernels();
}

}  // namespace longhaul::attention
#endif  // HWY_ONCE
