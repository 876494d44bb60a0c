// Reads little-endian numbers and length-prefixed strings from memory; every length is compared
// with what remains.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/result.h"

namespace longhaul {

class ByteReader {
  static_assert(std::endian::native == std::endian::little, "the file's numbers are little-endian");

 public:
  // `name` stands for the file in messages and must outlive the reader.
  ByteReader(std::span<const std::byte> bytes, const std::string& name)
      : bytes_(bytes), name_(name) {}

  uint64_t position() const { return position_; }
  uint64_t remaining() const { return bytes_.size() - position_; }
  const std::string& name() const { return name_; }

  // The next number; `what` names it in the error if the file ends first.
  template <class T>
  Result<T> read(std::string_view what) {
    static_assert(std::is_arithmetic_v<T>);
    LH_ASSIGN_OR_RETURN(const auto raw, take(sizeof(T), what));
    T value;
    std::memcpy(&value, raw.data(), sizeof(T));
    return value;
  }

  // The next string: a u64 length and that many bytes, not copied.
  Result<std::string_view> read_string(std::string_view what) {
    LH_ASSIGN_OR_RETURN(const auto n_bytes, read<uint64_t>(what));
    LH_ASSIGN_OR_RETURN(const auto raw, take(n_bytes, what));
    return std::string_view(reinterpret_cast<const char*>(raw.data()), raw.size());
  }

  // The next `n_bytes` bytes.
  Result<std::span<const std::byte>> take(uint64_t n_bytes, std::string_view what) {
    if (n_bytes > remaining()) {
      return bad_input("{}: the file ends in {} at byte {}: expected {} more bytes, found {}",
                       name_, what, position_, n_bytes, remaining());
    }
    const auto raw = bytes_.subspan(position_, n_bytes);
    position_ += n_bytes;
    return raw;
  }

  // An error unless `count` items of at least `min_bytes` each can still follow.
  Status check_count(uint64_t count, uint64_t min_bytes, std::string_view what) const {
    if (count <= remaining() / min_bytes) return {};
    return bad_input("{}: {} {} need at least {} bytes each, but only {} bytes remain at byte {}",
                     name_, count, what, min_bytes, remaining(), position_);
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& name_;
  uint64_t position_ = 0;
};

}  // namespace longhaul
