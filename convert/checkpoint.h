// The weights of a checkpoint folder: one safetensors file, or the shards that its index names.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "convert/safetensors.h"
#include "io/mapped_file.h"

namespace longhaul {

// A tensor and the file it stands in.
struct CheckpointTensor {
  SafetensorsTensor tensor;
  size_t file = 0;
};

// Files stay mapped as long as this object lives.
class Checkpoint {
 public:
  // Maps model.safetensors, or the shards of model.safetensors.index.json. Errors: neither is there;
  // an index that names a file outside of the folder, or a tensor that is not in its file; a tensor
  // that two files have; what parse_safetensors() refuses.
  static Result<Checkpoint> open(const std::string& folder);

  const std::string& folder() const { return folder_; }
  // In the order of the files, and of the data within.
  const std::vector<CheckpointTensor>& tensors() const { return tensors_; }
  // nullptr if there is no such tensor.
  const CheckpointTensor* find(std::string_view name) const;
  const std::string& path_of(const CheckpointTensor& tensor) const { return paths_[tensor.file]; }
  // Drops the memory behind a tensor that was read: see MappedFile::release().
  void release(const CheckpointTensor& tensor) const;

 private:
  Status add_file(const std::string& path);
  Status add_shards(const std::string& folder, const std::string& index_path);

  std::string folder_;
  std::vector<std::string> paths_;
  std::vector<MappedFile> mappings_;
  std::vector<CheckpointTensor> tensors_;
  std::unordered_map<std::string, size_t> index_;
};

}  // namespace longhaul
