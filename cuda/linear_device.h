// The instructions that the matrix kernels are made of. cuda/emulation.h has the same for the host,
// on which a test runs the kernels' own code.
#pragma once

#if defined(LH_CUDA_EMULATION)
#include "cuda/emulation.h"
#else

#include <cuda_fp16.h>

#include <cstddef>
#include <cstdint>

#define LH_DEVICE __device__ __forceinline__
#define LH_KERNEL(threads, blocks) __global__ void __launch_bounds__(threads, blocks)
#define LH_KERNEL_ARGUMENT const __grid_constant__

namespace longhaul::cuda {

LH_DEVICE uint32_t thread_id() { return threadIdx.x; }
LH_DEVICE uint32_t n_threads() { return blockDim.x; }
LH_DEVICE uint32_t block_x() { return blockIdx.x; }
LH_DEVICE uint32_t block_y() { return blockIdx.y; }
LH_DEVICE void wait_for_block() { __syncthreads(); }

extern __shared__ uint4 dynamic_shared_memory[];
LH_DEVICE std::byte* shared_memory() { return reinterpret_cast<std::byte*>(dynamic_shared_memory); }

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

// Weights pass through once: they leave the first-level cache to the activations.
LH_DEVICE uint4 load_streaming(const uint4* from) {
  uint4 x;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w)
               : "l"(from));
  return x;
}
LH_DEVICE uint2 load_streaming(const uint2* from) {
  uint2 x;
  asm volatile("ld.global.nc.L1::no_allocate.v2.u32 {%0, %1}, [%2];"
               : "=r"(x.x), "=r"(x.y)
               : "l"(from));
  return x;
}
LH_DEVICE uint32_t load_streaming(const uint32_t* from) {
  uint32_t x;
  asm volatile("ld.global.nc.L1::no_allocate.u32 %0, [%1];" : "=r"(x) : "l"(from));
  return x;
}
// Starts bringing n_bytes (a multiple of 16) to the second-level cache; does nothing before sm_90.
LH_DEVICE void prefetch_to_l2([[maybe_unused]] const std::byte* from,
                              [[maybe_unused]] uint32_t n_bytes) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(from), "r"(n_bytes) : "memory");
#endif
}
template <class T>
LH_DEVICE T load_cached(const T* from) {
  return __ldg(from);
}

// Copies 16 bytes to shared memory. Copies end in groups: wait_for_copies<n>() returns when at most
// the last n groups of this thread are under way.
LH_DEVICE void copy_async(std::byte* to_shared, const std::byte* from) {
  const auto to = static_cast<uint32_t>(__cvta_generic_to_shared(to_shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
}
LH_DEVICE void end_copy_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int n>
LH_DEVICE void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(n) : "memory");
}

// d = c + A B over 32 inputs, A [16, 32] in a[4], B [32, 8] in b; every element of c is `start`.
LH_DEVICE void mma_s8(int32_t (&d)[4], const uint32_t (&a)[4], uint2 b, int32_t start) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%10, %10, %10, %10};"
      : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b.x), "r"(b.y), "r"(start));
}
// The same over 16 inputs.
LH_DEVICE void mma_s8(int32_t (&d)[4], uint32_t a0, uint32_t a1, uint32_t b, int32_t start) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5}, {%6}, "
      "{%7, %7, %7, %7};"
      : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
      : "r"(a0), "r"(a1), "r"(b), "r"(start));
}
// c += A B over 16 inputs, in f16 with sums in f32.
LH_DEVICE void mma_f16(float (&c)[4], const uint32_t (&a)[4], uint2 b) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b.x), "r"(b.y));
}

}  // namespace longhaul::cuda

#endif
