// Types that have no kernel of their own, in one that has.
#pragma once

#include <vector>

#include "base/tensor_type.h"

namespace longhaul::cuda {

// Numbers in a file's layout of `type`.
struct WideRows {
  TensorType type;
  std::vector<std::byte> bytes;
};

// Q5_0 and IQ4_NL become Q8_0, exactly: their codes are whole multiples of the same scale. All
// others become F16, rounded to 2^-11 of themselves. n_elements is a multiple of the type's block
// length; `rows` in the file's layout.
WideRows widen(TensorType type, const std::byte* rows, size_t n_elements);

}  // namespace longhaul::cuda
