// Panels of floats against rows of f32 activations. A fragment: include it inside a target's
// namespace, after linear_unpack-inl.h.
//
// The sum of an output element runs over the inputs in order, one fused multiply-add each; how many
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

// As many rows at once as leave registers for the sums and the weights.
constexpr size_t kFloatRows = kVectors == 1 ? 8 : kVectors == 2 ? 4 : 2;

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
  constexpr size_t kRows = kFloatRows;
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
