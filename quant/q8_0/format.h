// Q8_0: 32 signed bytes and one scale: x = scale * q. 8.5 bits per element.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/tensor_type.h"

namespace longhaul::quant::q8_0 {

inline constexpr TensorType kType = TensorType::kQ8_0;
inline constexpr size_t kBlockLen = 32;

struct Block {
  uint16_t scale;  // f16
  int8_t q[32];    // -127 to 127; a reader meets -128 too
};
static_assert(sizeof(Block) == 34);

// See QuantTraits.
void dequantize(const std::byte* src, float* dst, size_t n_elements);
void quantize(const float* src, std::byte* dst, size_t n_elements);

}  // namespace longhaul::quant::q8_0
