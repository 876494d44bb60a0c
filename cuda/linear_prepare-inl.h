// Rounds activations into fragment order.
#pragma once

#include "cuda/linear_device.h"
#include "cuda/linear_kernels.h"

namespace longhaul::cuda {

inline constexpr uint32_t kPrepareThreads = 256;
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

// A thread rounds 4 inputs, 8 threads a block of 32. Second grid axis: rows, with those that fill up
// the last group. The same numbers as kernels/linear_quantise-inl.h.
LH_KERNEL(kPrepareThreads, 1)
prepare_q8(LH_KERNEL_ARGUMENT PrepareArgs args) {
  const uint32_t thread = block_x() * kPrepareThreads + thread_id();
  const uint32_t row = block_y();
  const uint32_t block = thread / 8;
  const uint32_t quad = thread % 8;
  float4 x = {0.0F, 0.0F, 0.0F, 0.0F};
  if (row < args.n_rows && thread * 4 < args.n_cols)
    x = *reinterpret_cast<const float4*>(args.x + row * args.stride + thread * 4);

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
  if (block >= args.n_blocks) return;

  const size_t at = static_cast<size_t>(row / kGroupRows) * args.n_blocks + block;
  args.fragments[at * (kFragmentBytes / 4) + q8_word(row % kGroupRows, quad)] = codes;
  if (quad == 0) {
    const float scale = poisoned ? float_of(kQuiet) : div_rn(amax, 127.0F);
    args.scales[at * kGroupRows + row % kGroupRows] = {
        scale, mul_rn(scale, int_to_float(static_cast<int32_t>(sum)))};
  }
}

// A block rounds one row, times the power of two that brings its largest magnitude to 2^14 or
// more, below 2^15: no activation is too large for f16. The product is multiplied by the inverse.
LH_KERNEL(kPrepareThreads, 1)
prepare_f16(LH_KERNEL_ARGUMENT PrepareArgs args) {
  const uint32_t row = block_x();
  const bool inside = row < args.n_rows;
  const float* x = args.x + row * args.stride;
  uint32_t max = 0;
  for (uint32_t i = thread_id() * 4; inside && i < args.n_cols; i += kPrepareThreads * 4)
    max = larger(max, max_magnitude(*reinterpret_cast<const float4*>(x + i)));
  for (uint32_t mask = 16; mask > 0; mask /= 2) max = larger(max, shuffle_xor(max, mask));
  auto* of_warps = reinterpret_cast<uint32_t*>(shared_memory());
  if (thread_id() % 32 == 0) of_warps[thread_id() / 32] = max;
  wait_for_block();
  for (uint32_t warp = 0; warp < kPrepareThreads / 32; ++warp) max = larger(max, of_warps[warp]);

  const bool poisoned = max >= kInfinity;
  const uint32_t wanted = 14 + 127 + 127 - (max >> 23);  // the exponent's bits
  const uint32_t exponent = wanted < 253 ? wanted : 253;
  const float up = float_of(exponent << 23);
  const float down = float_of((254 - exponent) << 23);
  const size_t group = static_cast<size_t>(row / kGroupRows) * args.n_blocks;
  for (uint32_t pair = thread_id(); pair < args.n_blocks * 8; pair += kPrepareThreads) {
    uint32_t word = 0;
    if (inside && !poisoned && pair * 2 < args.n_cols) {
      const auto two = *reinterpret_cast<const float2*>(x + pair * 2);
      word = float_to_f16(mul_rn(two.x, up)) | float_to_f16(mul_rn(two.y, up)) << 16;
    }
    args.fragments[(group + pair / 8) * (kFragmentBytes / 4) +
                   f16_word(row % kGroupRows, pair % 8)] = word;
  }
  if (thread_id() == 0) args.row_scales[row] = poisoned ? float_of(kQuiet) : down;
}

}  // namespace longhaul::cuda
