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

// Codes of 8 bits; V counts the vectors of a panel's rows.
struct Codes8 {
  static constexpr size_t kBytes = 8 * kPlaneBytes;
  static HWY_INLINE void load(const uint8_t* p, size_t v, V8 (&w)[kGroups]) {
    LH_UNROLL
    for (size_t g = 0; g < kGroups; ++g)
      w[g] = hn::LoadU(D8(), p + g * kPlaneBytes + v * 4 * kLanes);
  }
};

HWY_INLINE VF load_f16(const uint8_t* p, size_t v) {
  const auto* h = reinterpret_cast<const hwy::float16_t*>(p) + v * kLanes;
  return hn::PromoteTo(DF(), hn::LoadU(DH(), h));
}

// One f16 scale for 32 inputs.
struct ScaleF16 {
  static constexpr size_t kBytes = 2 * kPanelRows;
  static constexpr size_t kBlocks = 1;  // blocks that share one group of scales
  static HWY_INLINE VF scale(const uint8_t* p, size_t /*block*/, size_t v) {
    return load_f16(p, v);
  }
};

// kOffsetShift: the codes stand for code - (128 >> kOffsetShift).
template <class CodesT, class ScaleT, int kOffsetShiftT>
struct Quantised {
  using Codes = CodesT;
  using Scale = ScaleT;
  static constexpr int kOffsetShift = kOffsetShiftT;
};

using Q8_0 = Quantised<Codes8, ScaleF16, 0>;

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
