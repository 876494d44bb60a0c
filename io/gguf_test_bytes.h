// Builds GGUF bytes by hand, right or wrong, for tests: the writer would refuse to write most of
// what they need.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "io/gguf_value.h"

namespace longhaul {

struct GgufBytes {
  std::vector<std::byte> bytes;

  template <class T>
  GgufBytes& put(T value) {
    const auto* raw = reinterpret_cast<const std::byte*>(&value);
    bytes.insert(bytes.end(), raw, raw + sizeof(T));
    return *this;
  }
  // The characters without a length.
  GgufBytes& text(std::string_view characters) {
    const auto raw = std::as_bytes(std::span(characters));
    bytes.insert(bytes.end(), raw.begin(), raw.end());
    return *this;
  }
  GgufBytes& string(std::string_view characters) {
    return put<uint64_t>(characters.size()).text(characters);
  }
  GgufBytes& header(uint64_t n_tensors, uint64_t n_keys, uint32_t version = 3) {
    return text("GGUF").put(version).put(n_tensors).put(n_keys);
  }
  GgufBytes& key(std::string_view name, GgufType type) {
    return string(name).put(static_cast<uint32_t>(type));
  }
  GgufBytes& tensor(std::string_view name, const std::vector<uint64_t>& shape, uint32_t type_id,
                    uint64_t offset) {
    string(name).put(static_cast<uint32_t>(shape.size()));
    for (const uint64_t extent : shape) put(extent);
    return put(type_id).put(offset);
  }
  // Zeros up to a multiple of `alignment`.
  GgufBytes& pad(size_t alignment = 32) {
    bytes.resize((bytes.size() + alignment - 1) / alignment * alignment);
    return *this;
  }
  GgufBytes& data(size_t n_bytes, uint8_t value = 0) {
    bytes.insert(bytes.end(), n_bytes, std::byte{value});
    return *this;
  }
};

}  // namespace longhaul
