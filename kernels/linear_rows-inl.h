// Panels of quantised weights against few rows of activations: a group of rows shares the codes as
// they come from memory, so that a pass over several rows takes the time of one until the products
// take longer than the reads. A fragment: include it inside a target's namespace, after
// linear_unpack-inl.h, linear_float-inl.h and `Dot`, `Quad` and `load_quad`, which multiply groups
// of codes by 4 activations.

// A block's products start here: the offset of its codes times the sum of their activations.
template <class D, int kOffset>
HWY_INLINE VI initial_dot(int32_t offset) {  // -128 * sum of q
  if constexpr (kOffset == 0 || D::kSigned) return hn::Zero(DI());
  constexpr int kShift = kOffset == 128 ? 0 : kOffset == 32 ? 2 : kOffset == 16 ? 3 : 4;
  static_assert(kOffset == 0 || 128 >> kShift == kOffset);
  return hn::ShiftRight<kShift>(hn::Set(DI(), offset));
}

// ActivationBlock::offset of groups kFirst to kLast - 1.
template <size_t kFirst, size_t kLast>
HWY_INLINE int32_t offset_of(const ActivationBlock& a) {
  if constexpr (kLast - kFirst == kGroups) return a.offset;
  return kFirst == 0 ? a.half_offset : a.offset - a.half_offset;
}

// Sums of some rows over the blocks of a panel. Their blocks of activations lie `stride` apart.
template <class Q, size_t kRows>
struct RowSums {
  using Scale = typename Q::Scale;
  const ActivationBlock* a;
  size_t stride;
  VF sums[kRows][kVectors];

  template <size_t kFirst, size_t kLast>
  HWY_INLINE void add_groups(const V8 (&w)[kGroups], VF scale, size_t v) {
    using D = Dot<Q::Codes::kBits>;
    D dots[kRows];
    LH_UNROLL
    for (size_t r = 0; r < kRows; ++r)
      dots[r] = D(initial_dot<D, Q::kOffset>(offset_of<kFirst, kLast>(a[r])));
    LH_UNROLL
    for (size_t g = kFirst; g < kLast; ++g) {
      const typename D::Weight weight = D::weight(w[g]);
      LH_UNROLL
      for (size_t r = 0; r < kRows; ++r) dots[r].add(g - kFirst, weight, load_quad(a[r].q + 4 * g));
    }
    LH_UNROLL
    for (size_t r = 0; r < kRows; ++r) {
      const VF factor = hn::Mul(scale, hn::Set(DF(), a[r].scale));
      sums[r][v] = hn::MulAdd(hn::ConvertTo(DF(), dots[r].total()), factor, sums[r][v]);
    }
  }

  HWY_INLINE void operator()(const uint8_t* codes, const uint8_t* scales,
                             const typename Scale::Units (&units)[kVectors], size_t block) {
    LH_UNROLL
    for (size_t v = 0; v < kVectors; ++v) {
      V8 w[kGroups];
      Q::Codes::load(codes, v, w);
      if constexpr (Scale::kHalves) {
        add_groups<0, kGroups / 2>(w, Scale::scale(units[v], scales, block, 0, v), v);
        add_groups<kGroups / 2, kGroups>(w, Scale::scale(units[v], scales, block, 1, v), v);
      } else {
        add_groups<0, kGroups>(w, Scale::scale(units[v], scales, block, 0, v), v);
      }
      if constexpr (Scale::kAffine) {
        const VF addend = Scale::addend(units[v], scales, block, v);
        LH_UNROLL
        for (size_t r = 0; r < kRows; ++r)
          sums[r][v] = hn::MulAdd(addend, hn::Set(DF(), a[r].scaled_sum), sums[r][v]);
      }
    }
    a += stride;
  }
};

// Rows [row, row + kRows) of the product with one panel; those past the last row are padding. Their
// activations start at `a`.
template <class Q, size_t kRows>
HWY_INLINE void multiply_panel(const PanelWork& work, size_t panel, size_t row,
                               const ActivationBlock* a, size_t stride) {
  RowSums<Q, kRows> rows;
  rows.a = a;
  rows.stride = stride;
  LH_UNROLL
  for (size_t r = 0; r < kRows; ++r) {
    LH_UNROLL
    for (size_t v = 0; v < kVectors; ++v) rows.sums[r][v] = hn::Zero(DF());
  }
  visit_blocks<Q>(reinterpret_cast<const uint8_t*>(work.panels + panel * work.panel_bytes), 0,
                  work.n_in / kBlockInputs, rows);
  const size_t column = panel * kPanelRows;
  LH_UNROLL
  for (size_t r = 0; r < kRows; ++r) {
    if (row + r >= work.y.n_rows) return;
    store_outputs(rows.sums[r], work.bias == nullptr ? nullptr : work.bias + column,
                  HWY_MIN(kPanelRows, work.n_out - column), work.y.row(row + r) + column);
  }
}

// The same as a function of its own: one copy of the code for each number of rows.
template <class Q, size_t kRows>
HWY_NOINLINE void call_multiply_panel(const PanelWork& work, size_t panel, size_t row,
                                      const ActivationBlock* a, size_t stride) {
  multiply_panel<Q, kRows>(work, panel, row, a, stride);
}

// Every step of decoding: one row, one loop over all panels.
template <class Q>
HWY_NOINLINE void multiply_one(const PanelWork& work) {
  for (size_t panel = 0; panel < work.n_panels; ++panel)
    multiply_panel<Q, 1>(work, panel, 0, work.blocks, 1);
}

// As many rows at once as leave registers for the sums and the dots.
constexpr size_t kRowsAtOnce = kVectors == 1 ? 8 : 4;

// The group of n rows that starts at `row`.
template <class Q>
HWY_INLINE void multiply_group(const PanelWork& work, size_t panel, size_t row, size_t n) {
  const ActivationBlock* a = work.blocks + row * (work.n_in / kBlockInputs);
  switch (n) {
    case 1:
      return call_multiply_panel<Q, 1>(work, panel, row, a, n);
    case 2:
      return call_multiply_panel<Q, 2>(work, panel, row, a, n);
    case 4:
      return call_multiply_panel<Q, 4>(work, panel, row, a, n);
    default:
      for (size_t r = 0; r < n; r += kRowsAtOnce)
        call_multiply_panel<Q, kRowsAtOnce>(work, panel, row + r, a + r, n);
  }
}

// The panels are read once: the groups after the first find theirs in a cache.
template <class Q>
HWY_NOINLINE void multiply_few(const PanelWork& work) {
  if (work.y.n_rows == 1) return multiply_one<Q>(work);
  for (size_t panel = 0; panel < work.n_panels; ++panel) {
    for (size_t row = 0, n; row < work.y.n_rows; row += n) {
      n = group_rows(work.y.n_rows - row);
      multiply_group<Q>(work, panel, row, n);
    }
  }
}
