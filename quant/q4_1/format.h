// Q4_1: 32 numbers of 4 bits, a scale and an offset: x = scale * q + offset. 5 bits per element.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/tensor_type.h"

namespace longhaul::quant::q4_1 {

inline constexpr TensorType kType = TensorType::kQ4_1;
inline constexpr size_t kBlockLen = 32;

struct Block {
  uint16_t scale;   // f16
  uint16_t offset;  // f16, the x of q = 0
  uint8_t q[16];    // elements 0-15 in the low halves, 16-31 in the high halves
};
static_assert(sizeof(Block) == 20);

// See QuantTraits.
void dequantize(const std::byte* src, float* dst, size_t n_elements);
void quantize(const float* src, std::byte* dst, size_t n_elements);

}  // namespace longhaul::quant::q4_1
