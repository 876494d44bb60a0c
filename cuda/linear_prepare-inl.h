// Rounds activations into fragment order.
#pragma once

#include "cuda/linear_device.h"
#include "cuda/linear_kernels.h"
#include "cuda/linear_round.h"

namespace longhaul::cuda {

inline constexpr uint32_t kPrepareThreads = 256;

// Second grid axis: rows, with those that fill up the last group.
LH_KERNEL(kPrepareThreads, 1)
prepare_q8(LH_KERNEL_ARGUMENT PrepareArgs args) {
  wait_for_earlier();
  const uint32_t thread = block_x() * kPrepareThreads + thread_id();
  const uint32_t row = block_y();
  float4 x = {0.0F, 0.0F, 0.0F, 0.0F};
  if (row < args.n_rows && thread * 4 < args.n_cols)
    x = *reinterpret_cast<const float4*>(args.x + row * args.stride + thread * 4);
  round_quad(args, row, thread, x);
}

// A block rounds one row, times the power of two that brings its largest magnitude to 2^14 or
// more, below 2^15: no activation is too large for f16. The product is multiplied by the inverse.
LH_KERNEL(kPrepareThreads, 1)
prepare_f16(LH_KERNEL_ARGUMENT PrepareArgs args) {
  wait_for_earlier();
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
