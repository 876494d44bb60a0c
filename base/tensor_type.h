// The element types a GGUF file can name, with the size of their blocks. Which of them the engine
// can compute with is the business of quant/; this table only lets readers check sizes and name
// what they found.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace longhaul {

enum class TensorType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ4_NL = 20,
  kBF16 = 30,
};

struct TensorTypeInfo {
  uint32_t id;            // the number in the file
  std::string_view name;  // as the field writes it: "Q4_K"
  uint32_t block_len;     // elements per block; a row holds a whole number of blocks
  uint32_t block_bytes;   // bytes per block
};

// The row of `id`, or nullptr if no GGUF type has that number.
const TensorTypeInfo* find_tensor_type(uint32_t id);
// The row of a known type.
const TensorTypeInfo& tensor_type_info(TensorType type);
// All rows, in the order of their ids.
std::span<const TensorTypeInfo> all_tensor_types();

}  // namespace longhaul
