// The instructions that have no name in CUDA C++. cuda/emulation/ has the same for the CPU, where
// tests run the kernels without a card.
#pragma once

#define LH_DEVICE __device__ __forceinline__

#if defined(LH_CUDA_EMULATION)
#include "cuda/emulation/instructions.h"
#else

#include <cuda_fp16.h>

#include <cstddef>
#include <cstdint>

namespace longhaul::cuda {

extern __shared__ uint4 dynamic_shared_memory[];
LH_DEVICE std::byte* shared_memory() { return reinterpret_cast<std::byte*>(dynamic_shared_memory); }

// Of 0 exactly 1, of -inf exactly 0.
LH_DEVICE float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
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

// Copies 16 bytes from global to shared memory without registers. Copies end in groups:
// wait_copies<n>() returns when at most the last n groups of this thread are under way.
LH_DEVICE void copy_async(void* to_shared, const void* from) {
  const auto to = static_cast<uint32_t>(__cvta_generic_to_shared(to_shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
}
// Zeros where `valid` is false; brings 128 bytes to the second-level cache.
LH_DEVICE void copy_async(void* to_shared, const void* from, bool valid) {
  const auto to = static_cast<uint32_t>(__cvta_generic_to_shared(to_shared));
  const uint32_t n_bytes = valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
               "r"(n_bytes)
               : "memory");
}
LH_DEVICE void end_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kPending>
LH_DEVICE void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
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
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b.x), "r"(b.y));
}

}  // namespace longhaul::cuda

#endif
