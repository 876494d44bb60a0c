// What the kernels of products are made of, besides the instructions.
#pragma once

#include <cuda_fp16.h>

#include <cstddef>
#include <cstdint>

#include "cuda/instructions.h"
#include "cuda/launch_kernel.cuh"

#define LH_KERNEL(threads, blocks) __global__ void __launch_bounds__(threads, blocks)
#define LH_KERNEL_ARGUMENT const __grid_constant__

namespace longhaul::cuda {

LH_DEVICE uint32_t thread_id() { return threadIdx.x; }
LH_DEVICE uint32_t n_threads() { return blockDim.x; }
LH_DEVICE uint32_t block_x() { return blockIdx.x; }
LH_DEVICE uint32_t block_y() { return blockIdx.y; }
LH_DEVICE void wait_for_block() { __syncthreads(); }

// Each rounded once, and never contracted with another: the bits are the same in every kernel.
LH_DEVICE float fma_rn(float a, float b, float c) { return __fmaf_rn(a, b, c); }
LH_DEVICE float mul_rn(float a, float b) { return __fmul_rn(a, b); }
LH_DEVICE float add_rn(float a, float b) { return __fadd_rn(a, b); }
LH_DEVICE float div_rn(float a, float b) { return __fdiv_rn(a, b); }
LH_DEVICE int32_t round_to_int(float x) { return __float2int_rn(x); }  // half to even
LH_DEVICE float int_to_float(int32_t x) { return __int2float_rn(x); }

LH_DEVICE float float_of(uint32_t bits) { return __uint_as_float(bits); }
LH_DEVICE uint32_t bits_of(float x) { return __float_as_uint(x); }
LH_DEVICE float f16_to_float(uint32_t half) {
  return __half2float(__ushort_as_half(static_cast<uint16_t>(half)));
}
LH_DEVICE uint32_t float_to_f16(float x) { return __half_as_ushort(__float2half_rn(x)); }

// Byte `byte` of x, below the bytes 0x4B0000: the float 2^23 + byte.
template <int byte>
LH_DEVICE float byte_above_2_23(uint32_t x) {
  return __uint_as_float(__byte_perm(x, 0x4B000000u, 0x7650 + byte));
}

LH_DEVICE uint32_t shuffle_xor(uint32_t x, uint32_t mask) {
  return __shfl_xor_sync(0xFFFFFFFFu, x, mask);
}

// Not the read-only path: the kernel before may write it while this one waits.
template <class T>
LH_DEVICE T load_cached(const T* from) {
  return *from;
}

}  // namespace longhaul::cuda
