// Q4_0: 32 numbers of 4 bits and one scale: x = scale * (q - 8). 4.5 bits per element.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/tensor_type.h"

namespace longhaul::quant::q4_0 {

inline constexpr TensorType kType = TensorType::kQ4_0;
inline constexpr size_t kBlockLen = 32;

struct Block {
  uint16_t scale;  // f16
  uint8_t q[16];   // elements 0-15 in the low halves, 16-31 in the high halves
};
static_assert(sizeof(Block) == 18);

inline constexpr int kZero = 8;  // the q of x = 0

// See QuantTraits.
void dequantize(const std::byte* src, float* dst, size_t n_elements);
void quantize(const float* src, std::byte* dst, size_t n_elements);

}  // namespace longhaul::quant::q4_0
