// Products with F32 and BF16 weights, in f32. A warp makes one output of up to kRows rows: each lane
// sums 4 inputs of every 128 in ascending order, and the lanes are added as a tree.
#pragma once

#include "cuda/linear_device.h"
#include "cuda/linear_kernels.h"

namespace longhaul::cuda {

inline constexpr uint32_t kFloatWarps = 8;

template <TensorType type>
LH_DEVICE float4 load_weights(const std::byte* row, uint32_t i) {
  if constexpr (type == TensorType::kF32) {
    return *reinterpret_cast<const float4*>(row + i * 4);
  } else {
    const auto pair = *reinterpret_cast<const uint2*>(row + i * 2);
    return {float_of(pair.x << 16), float_of(pair.x & 0xFFFF0000u), float_of(pair.y << 16),
            float_of(pair.y & 0xFFFF0000u)};
  }
}

template <TensorType type, uint32_t kRows>
LH_KERNEL(kFloatWarps * 32, 1)
float_rows(LH_KERNEL_ARGUMENT FloatArgs args) {
  wait_for_earlier();
  const uint32_t lane = thread_id() % 32;
  const uint32_t out = block_x() * kFloatWarps + thread_id() / 32;
  if (out >= args.n_out) return;
  const uint32_t first = block_y() * kRows;
  constexpr size_t kWeightBytes = type == TensorType::kF32 ? 4 : 2;
  const std::byte* w = args.w + static_cast<size_t>(out) * args.n_in * kWeightBytes;
  const float* x[kRows];
#pragma unroll
  for (uint32_t r = 0; r < kRows; ++r) {  // past the last row: the last
    const uint32_t row = first + r < args.n_rows ? first + r : args.n_rows - 1;
    x[r] = args.x + row * args.x_stride;
  }
  float acc[kRows] = {};
  for (uint32_t i = lane * 4; i < args.n_in; i += 128) {
    const float4 a = load_weights<type>(w, i);
#pragma unroll
    for (uint32_t r = 0; r < kRows; ++r) {
      const float4 b = *reinterpret_cast<const float4*>(x[r] + i);
      acc[r] = fma_rn(a.x, b.x, acc[r]);
      acc[r] = fma_rn(a.y, b.y, acc[r]);
      acc[r] = fma_rn(a.z, b.z, acc[r]);
      acc[r] = fma_rn(a.w, b.w, acc[r]);
    }
  }
#pragma unroll
  for (uint32_t r = 0; r < kRows; ++r) {
    for (uint32_t mask = 16; mask > 0; mask /= 2)
      acc[r] = add_rn(acc[r], float_of(shuffle_xor(bits_of(acc[r]), mask)));
    if (lane != 0 || first + r >= args.n_rows) continue;
    const float sum = args.bias == nullptr ? acc[r] : add_rn(acc[r], args.bias[out]);
    args.y[(first + r) * args.y_stride + out] = sum;
  }
}

}  // namespace longhaul::cuda
