// IQ4_NL: 32 indices of 4 bits into a fixed table and one scale: x = scale * kLevels[q]. 4.5 bits
// per element.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/tensor_type.h"

namespace longhaul::quant::iq4_nl {

inline constexpr TensorType kType = TensorType::kIQ4_NL;
inline constexpr size_t kBlockLen = 32;

struct Block {
  uint16_t scale;  // f16
  uint8_t q[16];   // elements 0-15 in the low halves, 16-31 in the high halves
};
static_assert(sizeof(Block) == 18);

// The levels the format prescribes: denser around zero, where weights are.
inline constexpr int8_t kLevels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                       1,    13,   25,  38,  53,  69,  89,  113};

// See QuantTraits.
void dequantize(const std::byte* src, float* dst, size_t n_elements);
void quantize(const float* src, std::byte* dst, size_t n_elements);

}  // namespace longhaul::quant::iq4_nl
