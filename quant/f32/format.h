// F32: plain floats.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/tensor_type.h"

namespace longhaul::quant::f32 {

inline constexpr TensorType kType = TensorType::kF32;
inline constexpr size_t kBlockLen = 1;

struct Block {
  float value;
};
static_assert(sizeof(Block) == 4);

// See QuantTraits.
void dequantize(const std::byte* src, float* dst, size_t n_elements);
void quantize(const float* src, std::byte* dst, size_t n_elements);

}  // namespace longhaul::quant::f32
