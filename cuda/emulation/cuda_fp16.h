// In place of CUDA's.
#pragma once

#include <cuda_runtime.h>
#include <immintrin.h>

struct __half {
  uint16_t bits;
};
struct __half2 {
  __half x, y;
};

inline float __half2float(__half h) { return _cvtsh_ss(h.bits); }
inline __half __float2half_rn(float x) { return {static_cast<uint16_t>(_cvtss_sh(x, 0))}; }
inline __half __float2half(float x) { return __float2half_rn(x); }
inline __half __float2half_ru(float x) {
  return {static_cast<uint16_t>(_cvtss_sh(x, _MM_FROUND_TO_POS_INF))};
}
inline __half2 __floats2half2_rn(float a, float b) {
  return {__float2half_rn(a), __float2half_rn(b)};
}
inline __half __ushort_as_half(uint16_t x) { return {x}; }
inline uint16_t __half_as_ushort(__half x) { return x.bits; }
