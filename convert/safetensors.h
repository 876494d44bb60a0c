// Reading safetensors files: names, types and shapes of tensors, and their data left where it is
// mapped. The format: 8 bytes with the length of a JSON header, the header, the data of all tensors
// without gaps (github.com/huggingface/safetensors).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace longhaul {

// One tensor. `data` lies in the bytes that were parsed, at any alignment.
struct SafetensorsTensor {
  std::string name;
  std::string dtype;            // as the file has it: "BF16"
  std::vector<uint64_t> shape;  // the slowest-running extent first; none for a single number
  std::span<const std::byte> data;
};

// The tensors of a file, in the order of their data. `name` stands for the file in messages; `bytes`
// must outlive the result. Errors, all found before anything of a tensor's size is allocated: a file
// that is cut, a header longer than the file or than 100 MB, a header that is no JSON or has a name
// twice, a type that the format does not have, data of another size than type and shape say, data
// that overlap, leave a gap or leave the file.
Result<std::vector<SafetensorsTensor>> parse_safetensors(std::span<const std::byte> bytes,
                                                         const std::string& name);

// A shape as messages show it: "[288, 64]".
std::string shown_shape(std::span<const uint64_t> shape);

}  // namespace longhaul
