#include <cstring>

#include "quant/f32/format.h"

namespace longhaul::quant::f32 {

void dequantize(const std::byte* src, float* dst, size_t n_elements) {
  if (n_elements > 0) std::memcpy(dst, src, n_elements * sizeof(float));
}

void quantize(const float* src, std::byte* dst, size_t n_elements) {
  if (n_elements > 0) std::memcpy(dst, src, n_elements * sizeof(float));
}

}  // namespace longhaul::quant::f32
