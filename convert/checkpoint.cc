#include "convert/checkpoint.h"

#include <filesystem>
#include <map>

#include "convert/json_file.h"
#include "io/gguf_value.h"

namespace longhaul {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSingle = "model.safetensors";
constexpr std::string_view kIndex = "model.safetensors.index.json";

// A plain file name: no folder, nothing that leads out of this one.
bool is_inside(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

// Tensor name -> file name.
Result<std::map<std::string, std::string>> read_index(const std::string& path) {
  LH_ASSIGN_OR_RETURN(const Json document, read_document(path));
  LH_ASSIGN_OR_RETURN(const JsonFields fields, JsonFields::of(document, path));
  const Json* map = fields.find("weight_map");
  if (map == nullptr || !map->is_object() || map->empty())
    return fields.wrong("weight_map", "file names by tensor");
  std::map<std::string, std::string> files;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string() || !is_inside(file.get<std::string>())) {
      return bad_input("{}: tensor {}: expected the name of a file in this folder, found {}", path,
                       longhaul::quoted(tensor), snippet(file));
    }
    files[tensor] = file.get<std::string>();
  }
  return files;
}

}  // namespace

Result<Checkpoint> Checkpoint::open(const std::string& folder) {
  if (!fs::is_directory(folder)) return bad_input("{}: expected a folder", folder);
  Checkpoint checkpoint;
  checkpoint.folder_ = folder;
  const fs::path index = fs::path(folder) / kIndex;
  const fs::path single = fs::path(folder) / kSingle;
  if (fs::exists(index)) {
    LH_RETURN_IF_ERROR(checkpoint.add_shards(folder, index.string()));
  } else if (fs::exists(single)) {
    LH_RETURN_IF_ERROR(checkpoint.add_file(single.string()));
  } else {
    return bad_input("{}: expected {} or {}, found neither", folder, kSingle, kIndex);
  }
  return checkpoint;
}

Status Checkpoint::add_file(const std::string& path) {
  LH_ASSIGN_OR_RETURN(MappedFile file, MappedFile::open(path));
  LH_ASSIGN_OR_RETURN(std::vector<SafetensorsTensor> tensors,
                      parse_safetensors(file.bytes(), path));
  for (SafetensorsTensor& tensor : tensors) {
    const auto [other, is_new] = index_.emplace(tensor.name, tensors_.size());
    if (!is_new) {
      return bad_input("{}: tensor {}: expected once, found in {} too", path,
                       longhaul::quoted(tensor.name), path_of(tensors_[other->second]));
    }
    tensors_.push_back({std::move(tensor), paths_.size()});
  }
  paths_.push_back(path);
  mappings_.push_back(std::move(file));
  return {};
}

Status Checkpoint::add_shards(const std::string& folder, const std::string& index_path) {
  LH_ASSIGN_OR_RETURN(const auto files, read_index(index_path));
  std::map<std::string, size_t> numbers;  // by file name, in the order of the names
  for (const auto& [tensor, file] : files) numbers[file] = 0;
  for (auto& [file, number] : numbers) {
    number = paths_.size();
    LH_RETURN_IF_ERROR(add_file((fs::path(folder) / file).string()));
  }
  for (const auto& [tensor, file] : files) {
    const CheckpointTensor* found = find(tensor);
    if (found == nullptr || found->file != numbers[file]) {
      return bad_input("{}: tensor {}: expected in {}, found {}", index_path,
                       longhaul::quoted(tensor), file,
                       found == nullptr ? "nowhere" : "in " + path_of(*found));
    }
  }
  return {};
}

const CheckpointTensor* Checkpoint::find(std::string_view name) const {
  const auto found = index_.find(std::string(name));
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

void Checkpoint::release(const CheckpointTensor& tensor) const {
  mappings_[tensor.file].release(tensor.tensor.data);
}

}  // namespace longhaul
