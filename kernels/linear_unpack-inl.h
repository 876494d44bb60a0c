// Turns blocks of a panel (linear_panel.h) into vectors: 8 groups of codes [rows][4 inputs] and the
// scales of the rows. A fragment: include it inside a target's namespace.

using DF = hn::CappedTag<float, kPanelRows>;  // one lane, one output row
using DI = hn::Rebind<int32_t, DF>;
using D8 = hn::Repartition<uint8_t, DF>;
using DH = hn::Rebind<hwy::float16_t, DF>;
using VF = hn::Vec<DF>;
using VI = hn::Vec<DI>;
using V8 = hn::Vec<D8>;

constexpr size_t kLanes = hn::MaxLanes(DF());
constexpr size_t kVectors = kPanelRows / kLanes;  // vectors that hold the rows of a panel
constexpr size_t kGroups = 8;                     // groups of 4 inputs in a block
constexpr size_t kPlaneBytes = 4 * kPanelRows;

// Plane `g` of 64 bytes, for the rows of vector v.
HWY_INLINE V8 load_plane(const uint8_t* p, size_t g, size_t v) {
  return hn::LoadU(D8(), p + g * kPlaneBytes + v * 4 * kLanes);
}

// Codes of 8 bits.
struct Codes8 {
  static constexpr size_t kBits = 8;
  static constexpr size_t kBytes = 8 * kPlaneBytes;
  static HWY_INLINE void load(const uint8_t* p, size_t v, V8 (&w)[kGroups]) {
    LH_UNROLL
    for (size_t g = 0; g < kGroups; ++g) w[g] = load_plane(p, g, v);
  }
};

// Codes of 4 bits.
struct Codes4 {
  static constexpr size_t kBits = 4;
  static constexpr size_t kBytes = 4 * kPlaneBytes;
  static HWY_INLINE void load(const uint8_t* p, size_t v, V8 (&w)[kGroups]) {
    const V8 low = hn::Set(D8(), 0x0F);
    LH_UNROLL
    for (size_t g = 0; g < 4; ++g) {
      const V8 both = load_plane(p, g, v);
      w[g] = hn::And(both, low);
      w[g + 4] = hn::ShiftRight<4>(both);
    }
  }
};

// The bits `kMask` of x shifted left by kBy, right if negative; bits that cross from one byte to
// the next fall outside the mask.
template <int kBy>
HWY_INLINE V8 shifted_bits(V8 x, V8 mask) {
  const hn::Repartition<uint16_t, D8> d16;
  const auto x16 = hn::BitCast(d16, x);
  if constexpr (kBy > 0) return hn::And(hn::BitCast(D8(), hn::ShiftLeft<kBy>(x16)), mask);
  if constexpr (kBy < 0) return hn::And(hn::BitCast(D8(), hn::ShiftRight<-kBy>(x16)), mask);
  return hn::And(x, mask);
}

// Codes of 5 bits: the fifth bit of group g is bit g of one more plane.
struct Codes5 {
  static constexpr size_t kBits = 5;
  static constexpr size_t kBytes = 5 * kPlaneBytes;
  static HWY_INLINE void load(const uint8_t* p, size_t v, V8 (&w)[kGroups]) {
    Codes4::load(p, v, w);
    const V8 high = load_plane(p, 4, v);
    const V8 mask = hn::Set(D8(), 0x10);
    w[0] = hn::Or(w[0], shifted_bits<4>(high, mask));
    w[1] = hn::Or(w[1], shifted_bits<3>(high, mask));
    w[2] = hn::Or(w[2], shifted_bits<2>(high, mask));
    w[3] = hn::Or(w[3], shifted_bits<1>(high, mask));
    w[4] = hn::Or(w[4], shifted_bits<0>(high, mask));
    w[5] = hn::Or(w[5], shifted_bits<-1>(high, mask));
    w[6] = hn::Or(w[6], shifted_bits<-2>(high, mask));
    w[7] = hn::Or(w[7], shifted_bits<-3>(high, mask));
  }
};

// Codes of 6 bits: bits 4 and 5 of groups 4p to 4p + 3 lie side by side in plane 4 + p.
struct Codes6 {
  static constexpr size_t kBits = 6;
  static constexpr size_t kBytes = 6 * kPlaneBytes;
  static HWY_INLINE void load(const uint8_t* p, size_t v, V8 (&w)[kGroups]) {
    Codes4::load(p, v, w);
    const V8 mask = hn::Set(D8(), 0x30);
    LH_UNROLL
    for (size_t half = 0; half < 2; ++half) {
      const V8 high = load_plane(p, 4 + half, v);
      w[4 * half] = hn::Or(w[4 * half], shifted_bits<4>(high, mask));
      w[4 * half + 1] = hn::Or(w[4 * half + 1], shifted_bits<2>(high, mask));
      w[4 * half + 2] = hn::Or(w[4 * half + 2], shifted_bits<0>(high, mask));
      w[4 * half + 3] = hn::Or(w[4 * half + 3], shifted_bits<-2>(high, mask));
    }
  }
};

// Codes of 4 bits that count levels of IQ4_NL's table, kept here 128 higher to be unsigned.
struct CodesLevels {
  static constexpr size_t kBits = 8;
  static constexpr size_t kBytes = 4 * kPlaneBytes;
  static HWY_INLINE void load(const uint8_t* p, size_t v, V8 (&w)[kGroups]) {
    HWY_ALIGN static constexpr uint8_t kLevels[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                                      129, 141, 153, 166, 181, 197, 217, 241};
    Codes4::load(p, v, w);
    const V8 levels = hn::LoadDup128(D8(), kLevels);
    LH_UNROLL
    for (size_t g = 0; g < kGroups; ++g) w[g] = hn::TableLookupBytes(levels, w[g]);
  }
};

HWY_INLINE VF load_f16(const uint8_t* p, size_t v) {
  const auto* h = reinterpret_cast<const hwy::float16_t*>(p) + v * kLanes;
  return hn::PromoteTo(DF(), hn::LoadU(DH(), h));
}

// Row i of [.][16 rows] small integers, as floats.
template <class T>
HWY_INLINE VF load_small(const uint8_t* p, size_t i, size_t v) {
  const hn::Rebind<T, DF> d;
  const auto* row = reinterpret_cast<const T*>(p) + i * kPanelRows + v * kLanes;
  return hn::ConvertTo(DF(), hn::PromoteTo(DI(), hn::LoadU(d, row)));
}

// Scales of a group of kBlocks blocks. `Units` is what the blocks of a group share, read once.
// scale() is of half `half` of block `block` in the group, where the halves differ; addend() is
// what every weight of a block has besides scale * code, where the type has it.
struct ScaleF16 {  // f16 scale
  static constexpr size_t kBytes = 2 * kPanelRows;
  static constexpr size_t kBlocks = 1;
  static constexpr bool kHalves = false;
  static constexpr bool kAffine = false;
  struct Units {};
  static HWY_INLINE Units units(const uint8_t* /*p*/, size_t /*v*/) { return {}; }
  static HWY_INLINE VF scale(Units, const uint8_t* p, size_t /*block*/, size_t /*half*/, size_t v) {
    return load_f16(p, v);
  }
};

struct AffineF16 : ScaleF16 {  // f16 scale, f16 addend
  static constexpr size_t kBytes = 4 * kPanelRows;
  static constexpr bool kAffine = true;
  static HWY_INLINE VF addend(Units, const uint8_t* p, size_t /*block*/, size_t v) {
    return load_f16(p + 2 * kPanelRows, v);
  }
};

struct AffineRuns {  // [8] u8 scale, [8] u8 min, f16 units of both
  static constexpr size_t kBytes = 20 * kPanelRows;
  static constexpr size_t kBlocks = 8;
  static constexpr bool kHalves = false;
  static constexpr bool kAffine = true;
  struct Units {
    VF scale, minus_min;
  };
  static HWY_INLINE Units units(const uint8_t* p, size_t v) {
    return {load_f16(p + 16 * kPanelRows, v), hn::Neg(load_f16(p + 18 * kPanelRows, v))};
  }
  static HWY_INLINE VF scale(const Units& units, const uint8_t* p, size_t block, size_t /*half*/,
                             size_t v) {
    return hn::Mul(units.scale, load_small<uint8_t>(p, block, v));
  }
  static HWY_INLINE VF addend(const Units& units, const uint8_t* p, size_t block, size_t v) {
    return hn::Mul(units.minus_min, load_small<uint8_t>(p, 8 + block, v));
  }
};

struct HalfRuns {  // [16] i8 scale of half a block, f16 unit
  static constexpr size_t kBytes = 18 * kPanelRows;
  static constexpr size_t kBlocks = 8;
  static constexpr bool kHalves = true;
  static constexpr bool kAffine = false;
  struct Units {
    VF scale;
  };
  static HWY_INLINE Units units(const uint8_t* p, size_t v) {
    return {load_f16(p + 16 * kPanelRows, v)};
  }
  static HWY_INLINE VF scale(const Units& units, const uint8_t* p, size_t block, size_t half,
                             size_t v) {
    return hn::Mul(units.scale, load_small<int8_t>(p, 2 * block + half, v));
  }
};

// kOffset is what the codes stand too high by, a power of two or 0; types with an addend have none.
template <class CodesT, class ScaleT, int kOffsetT>
struct Quantised {
  using Codes = CodesT;
  using Scale = ScaleT;
  static constexpr int kOffset = kOffsetT;
  static constexpr size_t kGroupCodeBytes = Scale::kBlocks * Codes::kBytes;
  static constexpr size_t kGroupBytes = kGroupCodeBytes + Scale::kBytes;
  static constexpr size_t kClusterGroups = kGroupBytes % 64 == 0 ? 1 : 2;
  // How far before its use a line of the weights is asked for: beyond the cluster being read, whose
  // scales are read along with its codes. Measured on Zen 4.
  static constexpr size_t kAheadBytes = kClusterGroups * kGroupBytes <= 4096 ? 4096 : 8192;
};

using Q8_0 = Quantised<Codes8, ScaleF16, 128>;
using Q4_0 = Quantised<Codes4, ScaleF16, 8>;
using Q4_1 = Quantised<Codes4, AffineF16, 0>;
using Q5_0 = Quantised<Codes5, ScaleF16, 16>;
using Q5_1 = Quantised<Codes5, AffineF16, 0>;
using IQ4_NL = Quantised<CodesLevels, ScaleF16, 128>;
using Q4_K = Quantised<Codes4, AffineRuns, 0>;
using Q5_K = Quantised<Codes5, AffineRuns, 0>;
using Q6_K = Quantised<Codes6, HalfRuns, 32>;

// Asks for the lines of n_bytes of the weights that will be read kDistance bytes from p on, into
// the second-level cache. The processor's own prefetch stops at each page of 4 KB.
template <size_t kDistance, size_t kBytes>
HWY_INLINE void prefetch_ahead(const uint8_t* p) {
  LH_UNROLL
  for (size_t at = 0; at < kBytes; at += 64) __builtin_prefetch(p + kDistance + at, 0, 2);
}

// Calls visit(codes, scales, units, block) for blocks [first, first + n_blocks) of a panel, where
// `scales` are those of the block's group and `block` counts within it. Both ends are at clusters,
// or the panel's end.
template <class Q, class Visitor>
HWY_INLINE void visit_blocks(const uint8_t* panel, size_t first, size_t n_blocks, Visitor& visit) {
  using Scale = typename Q::Scale;
  const uint8_t* p = panel + first / Scale::kBlocks * Q::kGroupBytes;
  for (size_t left = n_blocks / Scale::kBlocks, n; left > 0; left -= n) {
    n = HWY_MIN(left, Q::kClusterGroups);
    const uint8_t* scales = p + n * Q::kGroupCodeBytes;
    for (size_t group = 0; group < n; ++group, scales += Scale::kBytes) {
      prefetch_ahead<Q::kAheadBytes, Scale::kBytes>(scales);
      typename Scale::Units units[kVectors];
      LH_UNROLL
      for (size_t v = 0; v < kVectors; ++v) units[v] = Scale::units(scales, v);
      for (size_t block = 0; block < Scale::kBlocks; ++block, p += Q::Codes::kBytes) {
        prefetch_ahead<Q::kAheadBytes, Q::Codes::kBytes>(p);
        visit(p, scales, units, block);
      }
    }
    p = scales;
  }
}

// Rows of a panel of floats.
struct F32 {
  static constexpr size_t kBytes = 4;
  static HWY_INLINE VF load(const uint8_t* p, size_t v) {
    return hn::LoadU(DF(), reinterpret_cast<const float*>(p) + v * kLanes);
  }
};
struct F16 {
  static constexpr size_t kBytes = 2;
  static HWY_INLINE VF load(const uint8_t* p, size_t v) { return load_f16(p, v); }
};
struct BF16 {
  static constexpr size_t kBytes = 2;
  static HWY_INLINE VF load(const uint8_t* p, size_t v) {
    const auto* h = reinterpret_cast<const hwy::bfloat16_t*>(p) + v * kLanes;
    return hn::PromoteTo(DF(), hn::LoadU(hn::Rebind<hwy::bfloat16_t, DF>(), h));
  }
};
