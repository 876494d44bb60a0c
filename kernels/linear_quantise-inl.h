// Rounds activations to 8 bits. A fragment: include it inside a target's namespace, after
// linear_unpack-inl.h.

// The largest magnitude of a block, NaN if it holds one: magnitudes order like their bits, NaN
// last.
HWY_INLINE float max_magnitude(const float* x) {
  VI max = hn::Zero(DI());
  for (size_t i = 0; i < kBlockInputs; i += kLanes) {
    max = hn::Max(max, hn::BitCast(DI(), hn::Abs(hn::LoadU(DF(), x + i))));
  }
  return hn::GetLane(hn::BitCast(DF(), hn::MaxOfLanes(DI(), max)));
}

// Blocks below this magnitude become zeros: the inverse of their scale is not a finite float.
constexpr float kLeastMagnitude = 1e-35F;

// A block with a NaN or an infinity has no codes: every product with it is NaN.
inline void poison_block(ActivationBlock& block) {
  block = ActivationBlock{};
  block.scale = block.scaled_sum = std::numeric_limits<float>::quiet_NaN();
}

// q = round(x * 127 / amax), half to even.
HWY_INLINE void quantise_block(const float* x, ActivationBlock& block) {
  const float amax = max_magnitude(x);
  if (!(amax <= std::numeric_limits<float>::max())) {
    poison_block(block);
    return;
  }
  const VF inverse = hn::Set(DF(), amax >= kLeastMagnitude ? 127.0F / amax : 0.0F);
  int32_t half_sums[2];
  for (size_t half = 0; half < 2; ++half) {
    VI sum = hn::Zero(DI());
    for (size_t i = half * 16; i < half * 16 + 16; i += kLanes) {
      const VI q = hn::NearestInt(hn::Mul(hn::LoadU(DF(), x + i), inverse));
      sum = hn::Add(sum, q);
      hn::StoreU(hn::DemoteTo(hn::Rebind<int8_t, DI>(), q), hn::Rebind<int8_t, DI>(), block.q + i);
    }
    half_sums[half] = hn::GetLane(hn::SumOfLanes(DI(), sum));
  }
  const int32_t sum = half_sums[0] + half_sums[1];
  block.scale = amax / 127.0F;
  block.scaled_sum = block.scale * static_cast<float>(sum);
  block.offset = -128 * sum;
  block.half_offset = -128 * half_sums[0];
}

inline void quantise_rows(MatrixView<const float> x, ActivationBlock* blocks) noexcept {
  const size_t n_blocks = x.n_cols / kBlockInputs;
  for (size_t first = 0, n; first < x.n_rows; first += n) {
    n = group_rows(x.n_rows - first);
    for (size_t r = 0; r < n; ++r) {
      for (size_t b = 0; b < n_blocks; ++b) {
        if (first + r < x.n_rows) {
          quantise_block(x.row(first + r) + b * kBlockInputs, blocks[b * n + r]);
        } else {
          blocks[b * n + r] = ActivationBlock{};
        }
      }
    }
    blocks += n * n_blocks;
  }
}
