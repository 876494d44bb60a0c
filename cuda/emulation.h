// The instructions of cuda/linear_device.h on the host, for a test that runs the kernels' own code
// without a card: every thread of a block is a fiber, the mma instructions follow the tables of the
// PTX documentation, and asynchronous copies arrive only when they are waited for.
#pragma once

#include <vector_types.h>

#include <cstddef>
#include <cstdint>
#include <functional>

#define LH_DEVICE inline
#define LH_KERNEL(threads, blocks) inline void
#define LH_KERNEL_ARGUMENT const

namespace longhaul::cuda {

// Runs `thread` once for each thread of each block of a grid. Shared memory is filled with garbage.
void emulate(uint32_t grid_x, uint32_t grid_y, uint32_t n_threads, size_t shared_bytes,
             const std::function<void()>& thread);

uint32_t thread_id();
uint32_t n_threads();
uint32_t block_x();
uint32_t block_y();
void wait_for_block();
std::byte* shared_memory();

float fma_rn(float a, float b, float c);
float mul_rn(float a, float b);
float add_rn(float a, float b);
float div_rn(float a, float b);
int32_t round_to_int(float x);
float int_to_float(int32_t x);
float float_of(uint32_t bits);
uint32_t bits_of(float x);
float f16_to_float(uint32_t half);
uint32_t float_to_f16(float x);
template <int byte>
float byte_above_2_23(uint32_t x) {
  return 8388608.0F + static_cast<float>(x >> 8 * byte & 0xFFu);
}

uint32_t shuffle_xor(uint32_t x, uint32_t mask);

// Checks what the hardware would fault on.
void check_aligned(const void* from, size_t n_bytes);
template <class T>
T load_streaming(const T* from) {
  check_aligned(from, sizeof(T));
  return *from;
}
template <class T>
T load_cached(const T* from) {
  check_aligned(from, sizeof(T));
  return *from;
}

inline void prefetch_to_l2(const std::byte* from, uint32_t) { check_aligned(from, 16); }
void copy_async(std::byte* to_shared, const std::byte* from);
void end_copy_group();
void wait_for_copies(size_t n_groups);
template <int n>
void wait_for_copies() {
  wait_for_copies(static_cast<size_t>(n));
}

void mma_s8(int32_t (&d)[4], const uint32_t (&a)[4], uint2 b, int32_t start);
void mma_s8(int32_t (&d)[4], uint32_t a0, uint32_t a1, uint32_t b, int32_t start);
void mma_f16(float (&c)[4], const uint32_t (&a)[4], uint2 b);

}  // namespace longhaul::cuda
