// Products of codes with 4 activations a lane, without an instruction of their own for it. A
// fragment: include it inside a target's namespace, in the place of linear_unpack-inl.h.
#include "kernels/linear_unpack-inl.h"

#if HWY_ARCH_X86 && HWY_TARGET != HWY_EMU128
// x86 multiplies unsigned by signed bytes and adds neighbours, in 16 bits that saturate. Codes of
// fewer than 8 bits leave room to add several such sums before they are widened to 32 bits.
constexpr bool kCodesOfOneSize = false;
using D16 = hn::Repartition<int16_t, DF>;
using V16 = hn::Vec<D16>;
using DI8 = hn::Repartition<int8_t, DF>;
using VI8 = hn::Vec<DI8>;

using Quad = VI8;  // 4 activations in every lane

HWY_INLINE Quad load_quad(const int8_t* q) {
  int32_t bits;
  hwy::CopyBytes<4>(q, &bits);
  return hn::BitCast(DI8(), hn::Set(DI(), bits));
}

// x, negated where `sign` is negative; where it is 0 the result does not matter.
HWY_INLINE VI8 with_sign(VI8 x, VI8 sign) {
#if HWY_TARGET == HWY_AVX3
  return VI8{
      _mm512_mask_sub_epi8(x.raw, _mm512_movepi8_mask(sign.raw), _mm512_setzero_si512(), x.raw)};
#elif HWY_TARGET == HWY_AVX2
  return VI8{_mm256_sign_epi8(x.raw, sign.raw)};
#else
  return VI8{_mm_sign_epi8(x.raw, sign.raw)};
#endif
}

HWY_INLINE VI add_pairs(VI sum, V16 pairs) {
  return hn::Add(sum, mul_pairs(DI(), pairs, hn::Set(D16(), 1)));
}

// The sum of the products of some groups of codes with their activations, which are at least -127.
template <size_t kBits>
class Dot {
 public:
  static constexpr bool kSigned = false;
  using Weight = V8;
  static HWY_INLINE Weight weight(V8 codes) { return codes; }
  Dot() = default;
  explicit HWY_INLINE Dot(VI initial) : sum_(initial) {}

  // Groups come in order from 0.
  HWY_INLINE void add(size_t group, Weight w, Quad a) {
    const V16 products = multiply_bytes(D16(), w, a);
    pairs_ = group % kGroupsPerSum == 0 ? products : hn::Add(pairs_, products);
    if (group % kGroupsPerSum == kGroupsPerSum - 1) sum_ = add_pairs(sum_, pairs_);
  }
  HWY_INLINE VI total() const { return sum_; }

 private:
  static constexpr int kLargest = 2 * 127 * ((1 << kBits) - 1);  // of one product of pairs
  static constexpr size_t kGroupsPerSum = kBits == 4 ? 8 : kBits == 5 ? 4 : 2;
  static_assert(kLargest * static_cast<int>(kGroupsPerSum) < 1 << 15);
  VI sum_;
  V16 pairs_;
};

// Codes of 8 bits would saturate: their signed values' magnitudes are multiplied instead, and the
// activations take the signs.
template <>
class Dot<8> {
 public:
  static constexpr bool kSigned = true;
  struct Weight {
    VI8 value;
    V8 magnitude;  // at most 128
  };
  static HWY_INLINE Weight weight(V8 codes) {
    const VI8 value = hn::BitCast(DI8(), hn::Xor(codes, hn::Set(D8(), 0x80)));
    return {value, hn::BitCast(D8(), hn::Abs(value))};
  }
  Dot() = default;
  explicit HWY_INLINE Dot(VI initial) : sum_(initial) {}
  HWY_INLINE void add(size_t /*group*/, const Weight& w, Quad a) {
    sum_ = add_pairs(sum_, multiply_bytes(D16(), w.magnitude, with_sign(a, w.value)));
  }
  HWY_INLINE VI total() const { return sum_; }

 private:
  VI sum_;
};

#else
constexpr bool kCodesOfOneSize = true;
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

// The sum of the products of some groups of codes with their activations: |code * q| < 2^15, so
// that pairs of products fit in 32 bits.
template <size_t kBits>
class Dot {
 public:
  static constexpr bool kSigned = false;
  struct Weight {
    hn::Vec<D16> even, odd;
  };
  static HWY_INLINE Weight weight(V8 codes) {
    const hn::RebindToUnsigned<D16> du16;
    const auto both = hn::BitCast(du16, codes);
    return {hn::BitCast(D16(), hn::And(both, hn::Set(du16, 0xFF))),
            hn::BitCast(D16(), hn::ShiftRight<8>(both))};
  }
  Dot() = default;
  explicit HWY_INLINE Dot(VI initial) : sum_(initial) {}
  HWY_INLINE void add(size_t /*group*/, const Weight& w, const Quad& a) {
    sum_ = hn::Add(sum_, hn::Add(mul_pairs(DI(), w.even, a.even), mul_pairs(DI(), w.odd, a.odd)));
  }
  HWY_INLINE VI total() const { return sum_; }

 private:
  VI sum_;
};
#endif
