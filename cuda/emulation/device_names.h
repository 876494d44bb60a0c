// CUDA C++'s names in device code, for kernels that run in machine.h.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "cuda/emulation/machine.h"

#define __global__ inline
#define __device__
#define __host__
#define __forceinline__ inline
#define __grid_constant__
#define __launch_bounds__(...)
#define __shared__ static  // blocks run one after another

struct float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  uint32_t x, y;
};
struct uint3 {
  uint32_t x, y, z;
};
struct alignas(16) uint4 {
  uint32_t x, y, z, w;
};
struct dim3 {
  constexpr dim3(uint32_t a = 1, uint32_t b = 1, uint32_t c = 1) : x(a), y(b), z(c) {}  // NOLINT
  uint32_t x, y, z;
};

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim;

using std::isfinite;
using std::max;
using std::min;

inline void __syncthreads() { longhaul::cuda::emulation::wait_for_block(); }
inline void __syncwarp() { longhaul::cuda::emulation::meet({}); }

// What every lane of the warp gives, and what lane i gave.
template <class T>
class WarpValues {
 public:
  explicit WarpValues(T own) : meeting_(longhaul::cuda::emulation::meet(words_of(own))) {}
  T operator[](uint32_t lane) const {
    T value;
    std::memcpy(&value, meeting_.lanes[lane % 32].word, sizeof(T));
    return value;
  }

 private:
  static longhaul::cuda::emulation::Words words_of(T own) {
    longhaul::cuda::emulation::Words words;
    std::memcpy(words.word, &own, sizeof(T));
    return words;
  }
  const longhaul::cuda::emulation::Meeting& meeting_;
};

inline uint32_t emulated_lane() { return longhaul::cuda::emulation::lane_id(); }
template <class T>
T __shfl_sync(uint32_t, T x, uint32_t from) {
  return WarpValues(x)[from];
}
template <class T>
T __shfl_xor_sync(uint32_t, T x, uint32_t mask) {
  return WarpValues(x)[emulated_lane() ^ mask];
}
template <class T>
T __shfl_up_sync(uint32_t, T x, uint32_t n) {
  const uint32_t lane = emulated_lane();
  return WarpValues(x)[lane >= n ? lane - n : lane];
}
inline uint32_t __ballot_sync(uint32_t, bool own) {
  const WarpValues<uint32_t> all(own ? 1 : 0);
  uint32_t bits = 0;
  for (uint32_t i = 0; i < 32; ++i) bits |= all[i] << i;
  return bits;
}
inline int __any_sync(uint32_t lanes, bool own) { return __ballot_sync(lanes, own) != 0; }
inline int __all_sync(uint32_t lanes, bool own) { return __ballot_sync(lanes, own) == ~0U; }
template <class T>
T __reduce_add_sync(uint32_t, T x) {
  const WarpValues<uint32_t> all(static_cast<uint32_t>(x));
  uint32_t sum = 0;
  for (uint32_t i = 0; i < 32; ++i) sum += all[i];
  return static_cast<T>(sum);
}
inline uint32_t __reduce_max_sync(uint32_t, uint32_t x) {
  const WarpValues<uint32_t> all(x);
  uint32_t largest = 0;
  for (uint32_t i = 0; i < 32; ++i) largest = max(largest, all[i]);
  return largest;
}
inline uint32_t atomicAdd(uint32_t* at, uint32_t x) {
  const uint32_t old = *at;
  *at += x;
  return old;
}

// Nothing is contracted: the emulation is compiled with -ffp-contract=off.
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __frcp_rn(float a) { return 1.0F / a; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline int __float2int_rn(float x) { return static_cast<int>(std::lrintf(x)); }
inline float __int2float_rn(int x) { return static_cast<float>(x); }
inline uint32_t __float_as_uint(float x) { return std::bit_cast<uint32_t>(x); }
inline float __uint_as_float(uint32_t x) { return std::bit_cast<float>(x); }
inline int __ffs(uint32_t x) { return x == 0 ? 0 : std::countr_zero(x) + 1; }
inline int __clz(uint32_t x) { return std::countl_zero(x); }
inline int __popc(uint32_t x) { return std::popcount(x); }
inline uint32_t __byte_perm(uint32_t low, uint32_t high, uint32_t selector) {
  const uint64_t both = uint64_t{high} << 32U | low;
  uint32_t result = 0;
  for (uint32_t i = 0; i < 4; ++i)
    result |= (static_cast<uint32_t>(both >> 8 * (selector >> 4 * i & 7)) & 0xFFU) << 8 * i;
  return result;
}
inline int __dp4a(int a, int b, int c) {
  for (int i = 0; i < 4; ++i)
    c += static_cast<int8_t>(a >> 8 * i) * static_cast<int8_t>(b >> 8 * i);
  return c;
}
template <class T>
T __ldg(const T* from) {
  return *from;
}
