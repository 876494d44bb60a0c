// Reading GGUF files, version 2 and 3: metadata, tensor descriptions, and tensor data left where it
// is mapped. The format: github.com/ggml-org/ggml, docs/gguf.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/tensor_type.h"
#include "io/gguf_value.h"
#include "io/mapped_file.h"

namespace longhaul {

// One tensor. `data` points into the file; it starts at a multiple of the file's alignment within
// its part.
struct GgufTensor {
  std::string name;
  uint32_t type_id = 0;         // always a row of base/tensor_type.h
  std::vector<uint64_t> shape;  // 1 to 4 extents in the file's order: the fastest-running first
  std::span<const std::byte> data;

  TensorType type() const { return static_cast<TensorType>(type_id); }
  uint64_t n_elements() const;
};

// An open GGUF file: one file, or all parts of a split one. Every check on counts, lengths, offsets
// and types is done when it opens, so what the accessors give is inside the file. Views and spans
// live as long as this object (or, after parse(), as long as the caller's bytes).
class GgufFile {
 public:
  // Opens the file at `path`; given part 1 of a split file, opens all its parts. Any other part is
  // an error that says which file to open.
  static Result<GgufFile> open(const std::string& path);
  // Reads a file that is already in memory; `name` stands for the path in messages. `bytes` must
  // outlive the result.
  static Result<GgufFile> parse(std::span<const std::byte> bytes, std::string name);

  const std::string& path() const { return path_; }
  uint32_t version() const { return version_; }
  uint64_t alignment() const { return alignment_; }
  size_t n_parts() const { return n_parts_; }

  // Of part 1, in the order of the file.
  const std::vector<std::pair<std::string, GgufValue>>& metadata() const { return metadata_; }
  // Of all parts, in the order of the files.
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  // Tells contents apart: a hash of all bytes of all parts, which it reads; of a file in memory, of
  // the tensors' data.
  std::string content_hash() const;
  // Tells models apart by what they compute, without reading all of them: a hash of the names, types
  // and shapes of all tensors, of all bytes of those up to 64 KiB and of 16 stretches of 4 KiB of
  // each larger one, and of the metadata that has the architecture's name. Another training or type
  // changes all of that; a change in one place of a tensor of n bytes is missed with the chance
  // 1 - 64 KiB / n.
  std::string weights_hash() const;
  // nullptr if there is no such tensor.
  const GgufTensor* find_tensor(std::string_view name) const;
  // Drops the memory behind a tensor's data, where it is mapped from a file: see
  // MappedFile::release().
  void release(const GgufTensor& tensor) const;
  // nullptr if there is no such key.
  const GgufValue* find(std::string_view key) const;
  bool has(std::string_view key) const { return find(key) != nullptr; }

  // Required keys. A missing key, a value of another kind and a number that does not fit are errors
  // that name the file, the key, what was expected and what was found. Integers of any width
  // convert.
  Result<uint64_t> get_u64(std::string_view key) const;
  Result<int64_t> get_i64(std::string_view key) const;
  Result<double> get_f64(std::string_view key) const;
  Result<bool> get_bool(std::string_view key) const;
  Result<std::string_view> get_string(std::string_view key) const;
  Result<std::vector<uint64_t>> get_u64_array(std::string_view key) const;
  Result<std::vector<int32_t>> get_i32_array(std::string_view key) const;
  Result<std::vector<float>> get_f32_array(std::string_view key) const;
  Result<std::vector<bool>> get_bool_array(std::string_view key) const;
  Result<std::vector<std::string_view>> get_string_array(std::string_view key) const;

  // Optional keys: `fallback` if the key is missing; a key of the wrong kind is still an error.
  Result<uint64_t> get_u64_or(std::string_view key, uint64_t fallback) const;
  Result<int64_t> get_i64_or(std::string_view key, int64_t fallback) const;
  Result<double> get_f64_or(std::string_view key, double fallback) const;
  Result<bool> get_bool_or(std::string_view key, bool fallback) const;
  Result<std::string_view> get_string_or(std::string_view key, std::string_view fallback) const;

 private:
  GgufFile() = default;
  Status open_other_parts(uint64_t number, uint64_t count);
  Status add_tensors(std::vector<GgufTensor> tensors, const std::string& part_path);
  template <class T, class Convert>
  Result<T> get(std::string_view key, std::string_view expected, Convert convert) const;

  std::string path_;
  uint32_t version_ = 0;
  uint64_t alignment_ = 0;
  size_t n_parts_ = 1;
  std::vector<MappedFile> mappings_;
  std::vector<std::pair<std::string, GgufValue>> metadata_;
  std::vector<GgufTensor> tensors_;
  std::unordered_map<std::string, size_t> key_index_;
  std::unordered_map<std::string, size_t> tensor_index_;
};

}  // namespace longhaul
