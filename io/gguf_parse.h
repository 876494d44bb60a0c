// The inside of io/gguf.h: reads one part of a GGUF file from memory. Not for other rooms.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "io/gguf.h"
#include "io/gguf_value.h"

namespace longhaul {

inline constexpr std::string_view kGgufMagic = "GGUF";
inline constexpr std::string_view kGgufAlignmentKey = "general.alignment";
inline constexpr std::string_view kGgufSplitNoKey =
    "split.no";  // counts from 0; file names count from 1
inline constexpr std::string_view kGgufSplitCountKey = "split.count";
inline constexpr std::string_view kGgufSplitTensorsKey = "split.tensors.count";
inline constexpr uint64_t kGgufDefaultAlignment = 32;
inline constexpr uint64_t kGgufMinAlignment = 8;
inline constexpr uint64_t kGgufMaxKeyBytes = 65535;
inline constexpr uint64_t kGgufMaxTensorNameBytes = 63;
inline constexpr uint32_t kGgufMaxDims = 4;

// One file: its keys and tensors, checked, with the tensors' data inside `bytes`.
struct GgufPart {
  uint32_t version = 0;
  uint64_t alignment = kGgufDefaultAlignment;
  std::vector<std::pair<std::string, GgufValue>> metadata;
  std::vector<GgufTensor> tensors;
};

// Reads `bytes` as one GGUF file called `name` in messages. Values and tensors point into `bytes`.
// Nothing is allocated for a count before it was compared with the bytes that remain.
Result<GgufPart> parse_gguf_part(std::span<const std::byte> bytes, const std::string& name);

// Bytes of a tensor of this type and shape, or an error (without the tensor's name) if the type is
// unknown, an extent is zero, a row is not a whole number of blocks or the product overflows.
Result<uint64_t> gguf_tensor_bytes(uint32_t type_id, std::span<const uint64_t> shape);

// An error unless `alignment` is a power of two from 8 to 2^31.
Status check_gguf_alignment(uint64_t alignment);

// `value` rounded up to a multiple of `alignment`, a power of two; nullopt if that overflows.
std::optional<uint64_t> align_up(uint64_t value, uint64_t alignment);

}  // namespace longhaul
