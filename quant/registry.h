// The tensor types the engine can decode and encode, one row each. CMake writes the table from the
// folders of quant/.
#pragma once

#include <cstddef>
#include <span>

#include "base/tensor_type.h"

namespace longhaul {

// `n_elements` is a multiple of the type's block length; block lengths and bytes are in
// base/tensor_type.h. Encoded bytes may have any alignment. Encoding needs values that
// find_unquantizable() does not object to.
struct QuantTraits {
  TensorType type;
  void (*dequantize)(const std::byte* src, float* dst, size_t n_elements);
  void (*quantize)(const float* src, std::byte* dst, size_t n_elements);
};

// The row of `type`, or nullptr if there is no codec for it.
const QuantTraits* find_quant(TensorType type);
// All rows, in the order of their folders' names.
std::span<const QuantTraits> all_quants();

// The index of the first value that the 16-bit scales cannot serve (NaN, infinite, or larger than
// 65504, the largest f16), or values.size() if all are fine.
size_t find_unquantizable(std::span<const float> values);

}  // namespace longhaul
