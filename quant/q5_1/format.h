// Q5_1: 32 numbers of 5 bits, a scale and an offset: x = scale * q + offset. 6 bits per element.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/tensor_type.h"

namespace longhaul::quant::q5_1 {

inline constexpr TensorType kType = TensorType::kQ5_1;
inline constexpr size_t kBlockLen = 32;

struct Block {
  uint16_t scale;   // f16
  uint16_t offset;  // f16, the x of q = 0
  uint8_t high[4];  // bit 4 of element i is bit i % 8 of byte i / 8
  uint8_t q[16];    // bits 0-3: elements 0-15 in the low halves, 16-31 in the high halves
};
static_assert(sizeof(Block) == 24);

// See QuantTraits.
void dequantize(const std::byte* src, float* dst, size_t n_elements);
void quantize(const float* src, std::byte* dst, size_t n_elements);

}  // namespace longhaul::quant::q5_1
