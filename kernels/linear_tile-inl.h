// Panels against rows of activations: the loops that every weight type shares. A fragment: include
// it inside a target's namespace, after linear_unpack-inl.h and after `Quad`, `load_quad` and
// `dot_quads`, which multiply one group of codes by 4 activations.
//
// The sum of an output element runs over the blocks in order, one fused multiply-add each; how many
// rows or panels share the loop does not enter it.

// What store_outputs does for the last outputs of a matrix, n < 16.
HWY_NOINLINE void store_last_outputs(const float* sums, const float* bias, size_t n, float* y) {
  for (size_t i = 0; i < n; ++i) y[i] = bias == nullptr ? sums[i] : sums[i] + bias[i];
}

// Writes the sums of one row and panel, n of them, with their bias.
HWY_INLINE void store_outputs(const VF (&sums)[kVectors], const float* bias, size_t n, float* y) {
  HWY_ALIGN float all[kPanelRows];
  LH_UNROLL
  for (size_t v = 0; v < kVectors; ++v) {
    if (n < kPanelRows) {
      hn::Store(sums[v], DF(), all + v * kLanes);
    } else {
      const VF sum =
          bias == nullptr ? sums[v] : hn::Add(sums[v], hn::LoadU(DF(), bias + v * kLanes));
      hn::StoreU(sum, DF(), y + v * kLanes);
    }
  }
  if (n < kPanelRows) store_last_outputs(all, bias, n, y);
}

// One panel against kRows rows of a group of kGroupRows.
template <class Q, size_t kRows, size_t kGroupRows>
HWY_INLINE void quantised_sums(const uint8_t* panel, size_t n_blocks, const ActivationBlock* a,
                               VF (&sums)[kRows][kVectors]) {
  const uint8_t* codes = panel;
  const uint8_t* scales = panel + n_blocks * Q::Codes::kBytes;
  for (size_t b = 0; b < n_blocks; ++b, codes += Q::Codes::kBytes, a += kGroupRows) {
    const uint8_t* scale_group = scales + b / Q::Scale::kBlocks * Q::Scale::kBytes;
    LH_UNROLL
    for (size_t v = 0; v < kVectors; ++v) {
      V8 w[kGroups];
      Q::Codes::load(codes, v, w);
      const VF scale = Q::Scale::scale(scale_group, b % Q::Scale::kBlocks, v);
      VI dots[kRows];
      LH_UNROLL
      for (size_t r = 0; r < kRows; ++r)
        dots[r] = hn::ShiftRight<Q::kOffsetShift>(hn::Set(DI(), a[r].offset));
      LH_UNROLL
      for (size_t g = 0; g < kGroups; ++g) {
        LH_UNROLL
        for (size_t r = 0; r < kRows; ++r)
          dots[r] = dot_quads(dots[r], w[g], load_quad(a[r].q + 4 * g));
      }
      LH_UNROLL
      for (size_t r = 0; r < kRows; ++r) {
        const VF factor = hn::Mul(scale, hn::Set(DF(), a[r].scale));
        sums[r][v] = hn::MulAdd(hn::ConvertTo(DF(), dots[r]), factor, sums[r][v]);
      }
    }
  }
}

// As many rows at once as leave registers for the sums, the dots and the codes.
constexpr size_t kTileRows = kVectors == 1 ? 8 : kVectors == 2 ? 4 : 2;

template <class Q, size_t kGroupRows>
HWY_NOINLINE void quantised_group(const PanelWork& work, size_t panel, size_t row) {
  constexpr size_t kRows = HWY_MIN(kGroupRows, kTileRows);
  const auto* codes = reinterpret_cast<const uint8_t*>(work.panels + panel * work.panel_bytes);
  const size_t n_blocks = work.n_in / kBlockInputs;
  const size_t column = panel * kPanelRows;
  const float* bias = work.bias == nullptr ? nullptr : work.bias + column;
  for (size_t r = 0; r < kGroupRows; r += kRows) {
    VF sums[kRows][kVectors];
    LH_UNROLL
    for (size_t i = 0; i < kRows; ++i) {
      LH_UNROLL
      for (size_t v = 0; v < kVectors; ++v) sums[i][v] = hn::Zero(DF());
    }
    quantised_sums<Q, kRows, kGroupRows>(codes, n_blocks, work.blocks + row * n_blocks + r, sums);
    LH_UNROLL
    for (size_t i = 0; i < kRows; ++i) {
      store_outputs(sums[i], bias, HWY_MIN(kPanelRows, work.n_out - column),
                    work.y.row(row + r + i) + column);
    }
  }
}

template <class Q>
void quantised_panels(const PanelWork& work) noexcept {
  for (size_t panel = 0; panel < work.n_panels; ++panel) {
    for (size_t row = 0; row < work.y.n_rows;) {
      const size_t n = group_rows(work.y.n_rows - row);
      switch (n) {
        case 8:
          quantised_group<Q, 8>(work, panel, row);
          break;
        case 4:
          quantised_group<Q, 4>(work, panel, row);
          break;
        case 2:
          quantised_group<Q, 2>(work, panel, row);
          break;
        default:
          quantised_group<Q, 1>(work, panel, row);
          break;
      }
      row += n;
    }
  }
}

// kPanels panels of floats against kRows rows: enough independent sums to hide the latency of an
// addition.
template <class W, size_t kRows, size_t kPanels>
HWY_NOINLINE void float_tile(const PanelWork& work, size_t panel, size_t row) {
  const auto* weights = reinterpret_cast<const uint8_t*>(work.panels + panel * work.panel_bytes);
  const float* x = work.x.row(row);
  VF sums[kRows][kPanels][kVectors];
  LH_UNROLL
  for (size_t r = 0; r < kRows; ++r) {
    LH_UNROLL
    for (size_t p = 0; p < kPanels; ++p) {
      LH_UNROLL
      for (size_t v = 0; v < kVectors; ++v) sums[r][p][v] = hn::Zero(DF());
    }
  }
  for (size_t i = 0; i < work.n_in; ++i) {
    LH_UNROLL
    for (size_t p = 0; p < kPanels; ++p) {
      LH_UNROLL
      for (size_t v = 0; v < kVectors; ++v) {
        const VF w = W::load(weights + p * work.panel_bytes + i * kPanelRows * W::kBytes, v);
        LH_UNROLL
        for (size_t r = 0; r < kRows; ++r) {
          sums[r][p][v] = hn::MulAdd(w, hn::Set(DF(), x[r * work.x.stride + i]), sums[r][p][v]);
        }
      }
    }
  }
  LH_UNROLL
  for (size_t r = 0; r < kRows; ++r) {
    LH_UNROLL
    for (size_t p = 0; p < kPanels; ++p) {
      const size_t column = (panel + p) * kPanelRows;
      store_outputs(sums[r][p], work.bias == nullptr ? nullptr : work.bias + column,
                    HWY_MIN(kPanelRows, work.n_out - column), work.y.row(row + r) + column);
    }
  }
}

template <class W>
void float_panels(const PanelWork& work) noexcept {
  constexpr size_t kRows = kTileRows;
  constexpr size_t kPanels = kVectors == 4 ? 2 : 4;  // of one row
  for (size_t panel = 0; panel < work.n_panels; panel += kPanels) {
    const size_t n_panels = HWY_MIN(kPanels, work.n_panels - panel);
    size_t row = 0;
    for (; row + kRows <= work.y.n_rows; row += kRows) {
      for (size_t p = 0; p < n_panels; ++p) float_tile<W, kRows, 1>(work, panel + p, row);
    }
    for (; row < work.y.n_rows; ++row) {
      if (n_panels == kPanels) {
        float_tile<W, 1, kPanels>(work, panel, row);
      } else {
        for (size_t p = 0; p < n_panels; ++p) float_tile<W, 1, 1>(work, panel + p, row);
      }
    }
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
    default:
      return nullptr;
  }
}
