// Q6_K: 256 numbers of 6 bits in 16 runs of 16, each run with an 8-bit scale:
// x = scale * run_scale * (q - 32). 6.5625 bits per element.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/tensor_type.h"

namespace longhaul::quant::q6_k {

inline constexpr TensorType kType = TensorType::kQ6_K;
inline constexpr size_t kBlockLen = 256;

struct Block {
  uint8_t low[128];      // bits 0-3 of q, see below
  uint8_t high[64];      // bits 4-5 of q, see below
  int8_t run_scale[16];  // of elements 16r to 16r+15
  uint16_t scale;        // f16
};
static_assert(sizeof(Block) == 210);

// Each half of the block (128 elements, half h) is four quarters of 32 elements. Element i of
// quarter k has its bits 0-3 in byte 64h + 32 (k % 2) + i of `low` (the low half of the byte for k
// < 2, else the high half) and its bits 4-5 in byte 32h + i of `high`, at bit 2k.
inline constexpr int kZero = 32;  // the q of x = 0

// See QuantTraits.
void dequantize(const std::byte* src, float* dst, size_t n_elements);
void quantize(const float* src, std::byte* dst, size_t n_elements);

}  // namespace longhaul::quant::q6_k
