// Panels of quantised weights against many rows of activations, and the table of all kernels. A
// fragment: include it inside a target's namespace, after linear_rows-inl.h.
//
// Many rows share codes and scales that were unpacked, a slab of inputs at a time. The sum of an
// output element runs over the blocks in order, one fused multiply-add for each scale and addend,
// on the same numbers as in linear_rows-inl.h: a row has the same bits in both.

// 16 blocks of a panel, unpacked: of a size that two of them stay in the first-level cache.
constexpr size_t kSlabBlocks = 16;
constexpr size_t kSlabPanels = 2;
struct Slab {
  HWY_ALIGN uint8_t codes[kSlabBlocks][kGroups * kPlaneBytes];
  HWY_ALIGN float scales[kSlabBlocks][2][kPanelRows];  // of the halves, where they differ
  HWY_ALIGN float addends[kSlabBlocks][kPanelRows];
};

// What the loops over a slab depend on. Where the instructions take codes of 8 bits as well as
// smaller ones, all are brought to the offset of 8 bits, so that few forms serve all types.
template <size_t kBitsT, int kOffsetT, bool kHalvesT, bool kAffineT>
struct SlabForm {
  static constexpr size_t kBits = kBitsT;
  static constexpr int kOffset = kOffsetT;
  static constexpr bool kHalves = kHalvesT;
  static constexpr bool kAffine = kAffineT;
};
template <class Q>
using FormOf = SlabForm<kCodesOfOneSize ? 8 : Q::Codes::kBits,
                        kCodesOfOneSize && Q::kOffset != 0 ? 128 : Q::kOffset, Q::Scale::kHalves,
                        Q::Scale::kAffine>;

template <class Q>
struct SlabFiller {
  using Scale = typename Q::Scale;
  Slab& slab;
  size_t at = 0;

  HWY_INLINE void operator()(const uint8_t* codes, const uint8_t* scales,
                             const typename Scale::Units (&units)[kVectors], size_t block) {
    const V8 lift = hn::Set(D8(), static_cast<uint8_t>(FormOf<Q>::kOffset - Q::kOffset));
    LH_UNROLL
    for (size_t v = 0; v < kVectors; ++v) {
      V8 w[kGroups];
      Q::Codes::load(codes, v, w);
      LH_UNROLL
      for (size_t g = 0; g < kGroups; ++g) {
        const V8 lifted = FormOf<Q>::kOffset == Q::kOffset ? w[g] : hn::Add(w[g], lift);
        hn::Store(lifted, D8(), slab.codes[at] + g * kPlaneBytes + v * 4 * kLanes);
      }
      LH_UNROLL
      for (size_t half = 0; half < (Scale::kHalves ? 2 : 1); ++half) {
        hn::Store(Scale::scale(units[v], scales, block, half, v), DF(),
                  slab.scales[at][half] + v * kLanes);
      }
      if constexpr (Scale::kAffine) {
        hn::Store(Scale::addend(units[v], scales, block, v), DF(), slab.addends[at] + v * kLanes);
      }
    }
    ++at;
  }
};

template <class Q>
HWY_NOINLINE void fill_slab(const PanelWork& work, size_t panel, size_t first, size_t n_blocks,
                            Slab& slab) {
  SlabFiller<Q> filler = {slab};
  visit_blocks<Q>(reinterpret_cast<const uint8_t*>(work.panels + panel * work.panel_bytes), first,
                  n_blocks, filler);
}

// A tile is some rows by some vectors of a pair of panels: as many as leave registers for the sums,
// the dots and the codes.
constexpr size_t kTileRows = 4;
constexpr size_t kTileVectors = kVectors == 1 || kCodesOfOneSize ? 2 : 1;
constexpr size_t kSumsPerRow = kSlabPanels * kPanelRows;

// Where vector v of a pair of slabs has its part of a plane or a row of numbers.
struct SlabVector {
  const Slab* slab;
  size_t lane;
};

// Groups kFirst to kLast - 1 of block b: sums += scale * (codes - offset) . activations.
template <class Form, size_t kFirst, size_t kLast, size_t kRows>
HWY_INLINE void add_slab_groups(const SlabVector (&at)[kTileVectors], size_t b,
                                const ActivationBlock* a, VF (&sums)[kRows][kTileVectors]) {
  using D = Dot<Form::kBits>;
  D dots[kRows][kTileVectors];
  LH_UNROLL
  for (size_t r = 0; r < kRows; ++r) {
    LH_UNROLL
    for (size_t c = 0; c < kTileVectors; ++c)
      dots[r][c] = D(initial_dot<D, Form::kOffset>(offset_of<kFirst, kLast>(a[r])));
  }
  LH_UNROLL
  for (size_t g = kFirst; g < kLast; ++g) {
    typename D::Weight w[kTileVectors];
    LH_UNROLL
    for (size_t c = 0; c < kTileVectors; ++c) {
      const uint8_t* codes = at[c].slab->codes[b] + g * kPlaneBytes + 4 * at[c].lane;
      w[c] = D::weight(hn::Load(D8(), codes));
    }
    LH_UNROLL
    for (size_t r = 0; r < kRows; ++r) {
      const Quad quad = load_quad(a[r].q + 4 * g);
      LH_UNROLL
      for (size_t c = 0; c < kTileVectors; ++c) dots[r][c].add(g - kFirst, w[c], quad);
    }
  }
  LH_UNROLL
  for (size_t c = 0; c < kTileVectors; ++c) {
    const VF scale = hn::Load(DF(), at[c].slab->scales[b][kFirst == 0 ? 0 : 1] + at[c].lane);
    LH_UNROLL
    for (size_t r = 0; r < kRows; ++r) {
      const VF factor = hn::Mul(scale, hn::Set(DF(), a[r].scale));
      sums[r][c] = hn::MulAdd(hn::ConvertTo(DF(), dots[r][c].total()), factor, sums[r][c]);
    }
  }
}

// Adds n_blocks blocks of the slabs to the sums [kRows][kSumsPerRow] of kRows rows, whose blocks
// lie `stride` apart.
template <class Form, size_t kRows>
HWY_NOINLINE void multiply_tile(const SlabVector (&at)[kTileVectors], size_t n_blocks,
                                const ActivationBlock* a, size_t stride, float* row_sums) {
  VF sums[kRows][kTileVectors];
  LH_UNROLL
  for (size_t r = 0; r < kRows; ++r) {
    LH_UNROLL
    for (size_t c = 0; c < kTileVectors; ++c)
      sums[r][c] = hn::Load(DF(), row_sums + r * kSumsPerRow + c * kLanes);
  }
  for (size_t b = 0; b < n_blocks; ++b, a += stride) {
    if constexpr (Form::kHalves) {
      add_slab_groups<Form, 0, kGroups / 2>(at, b, a, sums);
      add_slab_groups<Form, kGroups / 2, kGroups>(at, b, a, sums);
    } else {
      add_slab_groups<Form, 0, kGroups>(at, b, a, sums);
    }
    if constexpr (Form::kAffine) {
      LH_UNROLL
      for (size_t c = 0; c < kTileVectors; ++c) {
        const VF addend = hn::Load(DF(), at[c].slab->addends[b] + at[c].lane);
        LH_UNROLL
        for (size_t r = 0; r < kRows; ++r)
          sums[r][c] = hn::MulAdd(addend, hn::Set(DF(), a[r].scaled_sum), sums[r][c]);
      }
    }
  }
  LH_UNROLL
  for (size_t r = 0; r < kRows; ++r) {
    LH_UNROLL
    for (size_t c = 0; c < kTileVectors; ++c)
      hn::Store(sums[r][c], DF(), row_sums + r * kSumsPerRow + c * kLanes);
  }
}

// Adds blocks [first, first + n_blocks), unpacked in the slabs of a pair of panels, to the sums of
// all rows.
template <class Form>
HWY_NOINLINE void multiply_slabs(const PanelWork& work, const Slab* const (&slabs)[kSlabPanels],
                                 size_t first, size_t n_blocks, float* sums) {
  const size_t blocks_per_row = work.n_in / kBlockInputs;
  for (size_t group = 0, n; group < work.y.n_rows; group += n) {
    n = group_rows(work.y.n_rows - group);
    const ActivationBlock* a = work.blocks + group * blocks_per_row + first * n;
    const size_t tile = n >= kTileRows ? kTileRows : 1;
    for (size_t v = 0; v < kSlabPanels * kVectors; v += kTileVectors) {
      SlabVector at[kTileVectors];
      for (size_t c = 0; c < kTileVectors; ++c)
        at[c] = {slabs[(v + c) / kVectors], (v + c) % kVectors * kLanes};
      for (size_t r = 0; r < n; r += tile) {
        float* tile_sums = sums + (group + r) * kSumsPerRow + v * kLanes;
        if (tile == kTileRows) {
          multiply_tile<Form, kTileRows>(at, n_blocks, a + r, n, tile_sums);
        } else {
          multiply_tile<Form, 1>(at, n_blocks, a + r, n, tile_sums);
        }
      }
    }
  }
}

HWY_NOINLINE void store_sums(const PanelWork& work, size_t panel, size_t n_panels,
                             const float* sums) {
  for (size_t row = 0; row < work.y.n_rows; ++row) {
    for (size_t p = 0; p < n_panels; ++p) {
      VF vectors[kVectors];
      LH_UNROLL
      for (size_t v = 0; v < kVectors; ++v)
        vectors[v] = hn::Load(DF(), sums + row * kSumsPerRow + p * kPanelRows + v * kLanes);
      const size_t column = (panel + p) * kPanelRows;
      store_outputs(vectors, work.bias == nullptr ? nullptr : work.bias + column,
                    HWY_MIN(kPanelRows, work.n_out - column), work.y.row(row) + column);
    }
  }
}

// A last panel without a partner is multiplied twice, and its second sums are dropped.
template <class Q>
HWY_NOINLINE void multiply_rows(const PanelWork& work) {
  HWY_ALIGN float sums[kMaxWorkRows * kSumsPerRow];
  Slab slabs[kSlabPanels];
  const size_t n_blocks = work.n_in / kBlockInputs;
  for (size_t panel = 0; panel < work.n_panels; panel += kSlabPanels) {
    const size_t n_panels = HWY_MIN(kSlabPanels, work.n_panels - panel);
    std::memset(sums, 0, padded_rows(work.y.n_rows) * kSumsPerRow * sizeof(float));
    for (size_t first = 0; first < n_blocks; first += kSlabBlocks) {
      const size_t n = HWY_MIN(kSlabBlocks, n_blocks - first);
      for (size_t p = 0; p < n_panels; ++p) fill_slab<Q>(work, panel + p, first, n, slabs[p]);
      multiply_slabs<FormOf<Q>>(work, {&slabs[0], &slabs[n_panels - 1]}, first, n, sums);
    }
    store_sums(work, panel, n_panels, sums);
  }
}

// Up to here unpacking costs more than it saves.
constexpr size_t kFewRows = kVectors == 1 ? 32 : 8;

template <class Q>
void quantised_panels(const PanelWork& work) noexcept {
  if (work.y.n_rows <= kFewRows) {
    multiply_few<Q>(work);
  } else {
    multiply_rows<Q>(work);
  }
}

inline PanelKernel find_kernel(TensorType type) noexcept {
  switch (type) {
    case TensorType::kF32:
      return float_panels<F32>;
    case TensorType::kF16:
      return float_panels<F16>;
    case TensorType::kBF16:
      return float_panels<BF16>;
    case TensorType::kQ8_0:
      return quantised_panels<Q8_0>;
    case TensorType::kQ4_0:
      return quantised_panels<Q4_0>;
    case TensorType::kQ4_1:
      return quantised_panels<Q4_1>;
    case TensorType::kQ5_0:
      return quantised_panels<Q5_0>;
    case TensorType::kQ5_1:
      return quantised_panels<Q5_1>;
    case TensorType::kIQ4_NL:
      return quantised_panels<IQ4_NL>;
    case TensorType::kQ4_K:
      return quantised_panels<Q4_K>;
    case TensorType::kQ5_K:
      return quantised_panels<Q5_K>;
    case TensorType::kQ6_K:
      return quantised_panels<Q6_K>;
  }
  return nullptr;
}
