// What Highway 1.0.3 lacks. A fragment: include it inside a target's namespace, after
// hwy/highway.h; `hn` must name hwy::HWY_NAMESPACE.

// HWY_SCALAR has no repartition and no narrow vectors, and sizeless vectors cannot stand in arrays:
// such targets get the plain C++ bodies.
#undef LH_HAVE_VECTORS
#if HWY_TARGET == HWY_SCALAR || HWY_HAVE_SCALABLE
#define LH_HAVE_VECTORS 0
#else
#define LH_HAVE_VECTORS 1
#endif

// Loops over registers must vanish, or the registers become an array in memory.
#undef LH_UNROLL
#undef LH_NO_UNROLL
#if defined(__clang__)
#define LH_UNROLL _Pragma("clang loop unroll(full)")
#define LH_NO_UNROLL _Pragma("clang loop unroll(disable)")
#else
#define LH_UNROLL _Pragma("GCC unroll 32")
#define LH_NO_UNROLL _Pragma("GCC unroll 1")
#endif

#if LH_HAVE_VECTORS

// Lane i: a[2i] * b[2i] + a[2i + 1] * b[2i + 1].
template <class D32, class V16>
HWY_INLINE hn::VFromD<D32> mul_pairs(D32 d32, V16 a, V16 b) {
  auto others = hn::Zero(d32);  // of targets other than x86
  const auto sums = hn::ReorderWidenMulAccumulate(d32, a, b, hn::Zero(d32), others);
  return hn::RearrangeToOddPlusEven(sums, others);
}

// Lane i: a[2i] * b[2i] + a[2i + 1] * b[2i + 1], which must fit 16 bits.
template <class D16>
HWY_INLINE hn::VFromD<D16> multiply_bytes(D16 d16, hn::VFromD<hn::Repartition<uint8_t, D16>> a,
                                          hn::VFromD<hn::Repartition<int8_t, D16>> b) {
#if HWY_TARGET == HWY_AVX3
  return hn::VFromD<D16>{_mm512_maddubs_epi16(a.raw, b.raw)};
#elif HWY_TARGET == HWY_AVX2
  return hn::VFromD<D16>{_mm256_maddubs_epi16(a.raw, b.raw)};
#elif HWY_TARGET == HWY_SSE4 || HWY_TARGET == HWY_SSSE3
  return hn::VFromD<D16>{_mm_maddubs_epi16(a.raw, b.raw)};
#else
  const auto a16 = hn::BitCast(hn::RebindToUnsigned<D16>(), a);
  const auto b16 = hn::BitCast(d16, b);
  const auto even = hn::And(hn::BitCast(d16, a16), hn::Set(d16, int16_t{0xFF}));
  const auto odd = hn::BitCast(d16, hn::ShiftRight<8>(a16));
  return hn::Add(hn::Mul(even, hn::ShiftRight<8>(hn::ShiftLeft<8>(b16))),
                 hn::Mul(odd, hn::ShiftRight<8>(b16)));
#endif
}

#endif  // LH_HAVE_VECTORS
