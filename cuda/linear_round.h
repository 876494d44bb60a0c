// Rounding activations to 8 bits, for the kernels that make them and the one that finds them made.
#pragma once

#include "cuda/linear_device.h"
#include "cuda/linear_kernels.h"

namespace longhaul::cuda {

inline constexpr uint32_t kQuiet = 0x7FC00000u;     // a NaN
inline constexpr uint32_t kInfinity = 0x7F800000u;  // magnitudes order like their bits, NaN last
// Blocks below this magnitude become zeros: the inverse of their scale is not a finite float.
inline constexpr float kLeastMagnitude = 1e-35F;

LH_DEVICE uint32_t larger(uint32_t a, uint32_t b) { return a < b ? b : a; }

// The bits of the largest magnitude.
LH_DEVICE uint32_t max_magnitude(float4 x) {
  constexpr uint32_t kMagnitude = 0x7FFFFFFFu;
  return larger(larger(bits_of(x.x) & kMagnitude, bits_of(x.y) & kMagnitude),
                larger(bits_of(x.z) & kMagnitude, bits_of(x.w) & kMagnitude));
}

// The threads of a warp round 4 inputs each, x: quads [quad - lane, quad - lane + 32) of a row, 8 of
// them a block of 32 inputs. The same numbers as kernels/linear_quantise-inl.h.
LH_DEVICE void round_quad(const PrepareArgs& args, uint32_t row, uint32_t quad, float4 x) {
  uint32_t max = max_magnitude(x);
  for (uint32_t mask = 4; mask > 0; mask /= 2) max = larger(max, shuffle_xor(max, mask));
  const bool poisoned = max >= kInfinity;  // no codes: every product with the block is NaN
  const float amax = float_of(max);
  const float inverse = !poisoned && amax >= kLeastMagnitude ? div_rn(127.0F, amax) : 0.0F;
  const float inputs[4] = {x.x, x.y, x.z, x.w};
  uint32_t codes = 0;
  uint32_t sum = 0;
  for (uint32_t i = 0; i < 4; ++i) {
    const auto q = poisoned ? 0u : static_cast<uint32_t>(round_to_int(mul_rn(inputs[i], inverse)));
    codes |= (q & 0xFFu) << 8 * i;
    sum += q;
  }
  for (uint32_t mask = 4; mask > 0; mask /= 2) sum += shuffle_xor(sum, mask);
  const uint32_t block = quad / 8;
  if (block >= args.n_blocks) return;

  const size_t at = static_cast<size_t>(row / kGroupRows) * args.n_blocks + block;
  args.fragments[at * (kFragmentBytes / 4) + q8_word(row % kGroupRows, quad % 8)] = codes;
  if (quad % 8 == 0) {
    const float scale = poisoned ? float_of(kQuiet) : div_rn(amax, 127.0F);
    args.scales[at * kGroupRows + row % kGroupRows] = {
        scale, mul_rn(scale, int_to_float(static_cast<int32_t>(sum)))};
  }
}

}  // namespace longhaul::cuda
