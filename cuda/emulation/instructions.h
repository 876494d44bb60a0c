// The instructions of cuda/instructions.cuh for machine.h. Multiplications of matrices follow the
// tables of the PTX documentation; what the hardware would fault on ends the process.
#pragma once

#include <cuda_fp16.h>

#include "base/check.h"

namespace longhaul::cuda {

inline std::byte* shared_memory() { return emulation::shared_memory(); }

inline float exp2_fast(float x) {
  const float y = x == 0.0F ? 1.0F : std::exp2(x);
  return y < 0x1p-126F ? 0.0F : y;
}

template <class T>
T load_streaming(const T* from) {
  LH_CHECK(reinterpret_cast<uintptr_t>(from) % sizeof(T) == 0);
  return *from;
}
inline void prefetch_to_l2(const std::byte* from, uint32_t n_bytes) {
  LH_CHECK(reinterpret_cast<uintptr_t>(from) % 16 == 0 && n_bytes % 16 == 0);
}

inline void copy_async(void* to_shared, const void* from) {
  emulation::begin_copy(static_cast<std::byte*>(to_shared), static_cast<const std::byte*>(from),
                        false);
}
inline void copy_async(void* to_shared, const void* from, bool valid) {
  emulation::begin_copy(static_cast<std::byte*>(to_shared), static_cast<const std::byte*>(from),
                        !valid);
}
inline void end_copies() { emulation::end_copies(); }
template <int kPending>
void wait_copies() {
  emulation::wait_copies(kPending);
}

void mma_s8(int32_t (&d)[4], const uint32_t (&a)[4], uint2 b, int32_t start);
void mma_s8(int32_t (&d)[4], uint32_t a0, uint32_t a1, uint32_t b, int32_t start);
void mma_f16(float (&c)[4], const uint32_t (&a)[4], uint2 b);

}  // namespace longhaul::cuda
