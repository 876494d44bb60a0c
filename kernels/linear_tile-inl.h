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

// -kOffset * sum of q, from -128 times it.
template <int kOffset>
HWY_INLINE VI initial_dot(int32_t offset) {
  if constexpr (kOffset == 0) return hn::Zero(DI());
  constexpr int kShift = kOffset == 128 ? 0 : kOffset == 32 ? 2 : kOffset == 16 ? 3 : 4;
  static_assert(kOffset == 0 || 128 >> kShift == kOffset);
  return hn::ShiftRight<kShift>(hn::Set(DI(), offset));
}

// sums += scale * (codes of groups kFirst to kLast - 1, less their offset) . activations, for kRows
// rows of a block.
template <class Q, size_t kFirst, size_t kLast, size_t kRows>
HWY_INLINE void add_groups(const V8 (&w)[kGroups], VF scale, const ActivationBlock* a, size_t v,
                           VF (&sums)[kRows][kVectors]) {
  VI dots[kRows];
  LH_UNROLL
  for (size_t r = 0; r < kRows; ++r) {
    const int32_t offset = kLast - kFirst == kGroups ? a[r].offset
                           : kFirst == 0             ? a[r].half_offset
                                                     : a[r].offset - a[r].half_offset;
    dots[r] = initial_dot<Q::kOffset>(offset);
  }
  LH_UNROLL
  for (size_t g = kFirst; g < kLast; ++g) {
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

// One panel against kRows rows whose blocks lie `stride` apart.
template <class Q, size_t kRows>
HWY_INLINE void quantised_sums(const uint8_t* panel, size_t n_blocks, const ActivationBlock* a,
                               size_t stride, VF (&sums)[kRows][kVectors]) {
  using Scale = typename Q::Scale;
  const uint8_t* codes = panel;
  const uint8_t* scales = panel + n_blocks * Q::Codes::kBytes;
  for (size_t b = 0; b < n_blocks; ++b, codes += Q::Codes::kBytes, a += stride) {
    const uint8_t* group = scales + b / Scale::kBlocks * Scale::kBytes;
    const size_t block = b % Scale::kBlocks;
    LH_UNROLL
    for (size_t v = 0; v < kVectors; ++v) {
      V8 w[kGroups];
      Q::Codes::load(codes, v, w);
      if constexpr (Scale::kHalves) {
        add_groups<Q, 0, kGroups / 2>(w, Scale::scale(group, block, 0, v), a, v, sums);
        add_groups<Q, kGroups / 2, kGroups>(w, Scale::scale(group, block, 1, v), a, v, sums);
      } else {
        add_groups<Q, 0, kGroups>(w, Scale::scale(group, block, 0, v), a, v, sums);
      }
      if constexpr (Q::kOffset == 0) {
        const VF addend = Scale::addend(group, block, v);
        LH_UNROLL
        for (size_t r = 0; r < kRows; ++r) {
          sums[r][v] = hn::MulAdd(addend, hn::Set(DF(), a[r].scaled_sum), sums[r][v]);
        }
      }
    }
  }
}

// As many rows at once as leave registers for the sums, the dots and the codes.
constexpr size_t kTileRows = kVectors == 1 ? 8 : kVectors == 2 ? 4 : 2;

// kRows rows from `row` on, of a group of group_size that starts at row `first`.
template <class Q, size_t kRows>
HWY_NOINLINE void quantised_tile(const PanelWork& work, size_t panel, size_t first,
                                 size_t group_size, size_t row) {
  const auto* codes = reinterpret_cast<const uint8_t*>(work.panels + panel * work.panel_bytes);
  const size_t n_blocks = work.n_in / kBlockInputs;
  const size_t column = panel * kPanelRows;
  VF sums[kRows][kVectors];
  LH_UNROLL
  for (size_t r = 0; r < kRows; ++r) {
    LH_UNROLL
    for (size_t v = 0; v < kVectors; ++v) sums[r][v] = hn::Zero(DF());
  }
  quantised_sums<Q, kRows>(codes, n_blocks, work.blocks + first * n_blocks + (row - first),
                           group_size, sums);
  LH_UNROLL
  for (size_t r = 0; r < kRows; ++r) {
    store_outputs(sums[r], work.bias == nullptr ? nullptr : work.bias + column,
                  HWY_MIN(kPanelRows, work.n_out - column), work.y.row(row + r) + column);
  }
}

template <class Q>
void quantised_panels(const PanelWork& work) noexcept {
  for (size_t panel = 0; panel < work.n_panels; ++panel) {
    for (size_t first = 0, n; first < work.y.n_rows; first += n) {
      n = group_rows(work.y.n_rows - first);
      const size_t tile = HWY_MIN(n, kTileRows);
      for (size_t row = first; row < first + n; row += tile) {
        if (tile == 1) {
          quantised_tile<Q, 1>(work, panel, first, n, row);
        } else if (tile == 2) {
          quantised_tile<Q, 2>(work, panel, first, n, row);
        } else if (tile == 4) {
          quantised_tile<Q, HWY_MIN(4, kTileRows)>(work, panel, first, n, row);
        } else {
          quantised_tile<Q, kTileRows>(work, panel, first, n, row);
        }
      }
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
