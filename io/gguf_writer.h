// Writing GGUF files, version 3: to a file (replaced only when complete), to split files, or to
// memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/function_ref.h"
#include "base/result.h"
#include "base/tensor_type.h"
#include "io/gguf_value.h"

namespace longhaul {

// Collects metadata and tensors, then writes them in the order they were added. Setting a key again
// replaces its value in place. Wrong names are reported by the write functions.
class GgufWriter {
 public:
  using Bytes = std::span<const std::byte>;
  using Sink = FunctionRef<Status(Bytes)>;
  // Gives a tensor's bytes to the sink, piece by piece, when they are written: for data too large
  // to hold twice.
  using Source = std::function<Status(Sink)>;

  void set_u8(std::string_view key, uint8_t value) { set_scalar(key, GgufType::kU8, value); }
  void set_i8(std::string_view key, int8_t value) { set_scalar(key, GgufType::kI8, value); }
  void set_u16(std::string_view key, uint16_t value) { set_scalar(key, GgufType::kU16, value); }
  void set_i16(std::string_view key, int16_t value) { set_scalar(key, GgufType::kI16, value); }
  void set_u32(std::string_view key, uint32_t value) { set_scalar(key, GgufType::kU32, value); }
  void set_i32(std::string_view key, int32_t value) { set_scalar(key, GgufType::kI32, value); }
  void set_u64(std::string_view key, uint64_t value) { set_scalar(key, GgufType::kU64, value); }
  void set_i64(std::string_view key, int64_t value) { set_scalar(key, GgufType::kI64, value); }
  void set_f32(std::string_view key, float value) { set_scalar(key, GgufType::kF32, value); }
  void set_f64(std::string_view key, double value) { set_scalar(key, GgufType::kF64, value); }
  void set_bool(std::string_view key, bool value);
  void set_string(std::string_view key, std::string_view value);

  void set_u8_array(std::string_view key, std::span<const uint8_t> v) {
    set_array(key, GgufType::kU8, v);
  }
  void set_i8_array(std::string_view key, std::span<const int8_t> v) {
    set_array(key, GgufType::kI8, v);
  }
  void set_u16_array(std::string_view key, std::span<const uint16_t> v) {
    set_array(key, GgufType::kU16, v);
  }
  void set_i16_array(std::string_view key, std::span<const int16_t> v) {
    set_array(key, GgufType::kI16, v);
  }
  void set_u32_array(std::string_view key, std::span<const uint32_t> v) {
    set_array(key, GgufType::kU32, v);
  }
  void set_i32_array(std::string_view key, std::span<const int32_t> v) {
    set_array(key, GgufType::kI32, v);
  }
  void set_u64_array(std::string_view key, std::span<const uint64_t> v) {
    set_array(key, GgufType::kU64, v);
  }
  void set_i64_array(std::string_view key, std::span<const int64_t> v) {
    set_array(key, GgufType::kI64, v);
  }
  void set_f32_array(std::string_view key, std::span<const float> v) {
    set_array(key, GgufType::kF32, v);
  }
  void set_f64_array(std::string_view key, std::span<const double> v) {
    set_array(key, GgufType::kF64, v);
  }
  void set_bool_array(std::string_view key, const std::vector<bool>& values);
  void set_string_array(std::string_view key, std::span<const std::string_view> values);
  void set_string_array(std::string_view key, const std::vector<std::string>& values);

  // A value read from another file, with the type it had there.
  void set(std::string_view key, const GgufValue& value);

  // Where tensors start: multiples of `alignment`, a power of two of at least 8. 32 if not set.
  void set_alignment(uint32_t alignment);

  // Adds a tensor; `shape` has its fastest-running extent first. `data` must live until the file is
  // written and hold exactly the bytes of that type and shape. Errors: a shape the type cannot
  // have, a wrong size, a name used twice.
  Status add_tensor(std::string name, TensorType type, std::vector<uint64_t> shape, Bytes data);
  Status add_tensor(std::string name, TensorType type, std::vector<uint64_t> shape, Source source);

  // Writes one file. On any error (a full disk too) an older file at `path` stays as it was.
  Status write(const std::string& path) const;
  // Writes parts `STEM-00001-of-0000N.gguf` of at most `max_part_bytes` of tensor data each (a
  // larger tensor gets a part of its own) and returns their paths.
  Result<std::vector<std::string>> write_split(const std::string& stem,
                                               uint64_t max_part_bytes) const;
  // The file's bytes.
  Result<std::vector<std::byte>> write_to_memory() const;

 private:
  struct KeyValue {
    std::string key;
    std::vector<std::byte> encoded;  // type number and value, as in the file
  };
  struct Tensor {
    std::string name;
    TensorType type;
    std::vector<uint64_t> shape;
    uint64_t n_bytes;
    Source source;
  };
  // What goes into one file.
  struct Part {
    std::vector<KeyValue> metadata;
    std::span<const Tensor> tensors;
  };

  template <class T>
  void set_scalar(std::string_view key, GgufType type, T value) {
    set_bytes(key, type, std::as_bytes(std::span(&value, 1)));
  }
  template <class T>
  void set_array(std::string_view key, GgufType element_type, std::span<const T> values) {
    set_array_bytes(key, element_type, values.size(), std::as_bytes(values));
  }
  void set_bytes(std::string_view key, GgufType type, Bytes value);
  void set_array_bytes(std::string_view key, GgufType element_type, size_t count, Bytes values);
  std::vector<std::byte>& value_of(std::string_view key);
  Status check() const;
  std::vector<std::byte> encode_header(const Part& part) const;
  uint64_t data_bytes(const Part& part) const;
  Status write_part(const Part& part, Sink sink) const;
  Status write_part_file(const Part& part, const std::string& path) const;

  std::vector<KeyValue> metadata_;
  std::vector<Tensor> tensors_;
  std::unordered_set<std::string> tensor_names_;
  uint64_t alignment_ = 32;
};

}  // namespace longhaul
