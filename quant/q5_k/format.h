// Q5_K: 256 numbers of 5 bits in 8 runs of 32, each run with a 6-bit scale and a 6-bit offset:
// x = scale * run_scale * q - offset_scale * run_offset. 5.5 bits per element.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/tensor_type.h"

namespace longhaul::quant::q5_k {

inline constexpr TensorType kType = TensorType::kQ5_K;
inline constexpr size_t kBlockLen = 256;

struct Block {
  uint16_t scale;         // f16
  uint16_t offset_scale;  // f16
  uint8_t runs[12];       // the 6-bit numbers of the 8 runs, packed as quant/k_runs.h says
  uint8_t high[32];       // bit 4 of element i of run r is bit r of byte i
  uint8_t q[128];  // bits 0-3; bytes 32p to 32p+31: run 2p in the low halves, run 2p+1 in the high
                   // halves
};
static_assert(sizeof(Block) == 176);

// See QuantTraits.
void dequantize(const std::byte* src, float* dst, size_t n_elements);
void quantize(const float* src, std::byte* dst, size_t n_elements);

}  // namespace longhaul::quant::q5_k
