// BF16: the upper half of an f32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/tensor_type.h"

namespace longhaul::quant::bf16 {

inline constexpr TensorType kType = TensorType::kBF16;
inline constexpr size_t kBlockLen = 1;

struct Block {
  uint16_t value;
};
static_assert(sizeof(Block) == 2);

// See QuantTraits.
void dequantize(const std::byte* src, float* dst, size_t n_elements);
void quantize(const float* src, std::byte* dst, size_t n_elements);

}  // namespace longhaul::quant::bf16
