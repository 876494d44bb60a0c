#include "io/gguf.h"

#include <optional>

#include "io/gguf_parse.h"

namespace longhaul {
namespace {

// What a path says about splits: "model-00001-of-00003.gguf" is {"model", 1, 3}.
struct SplitName {
  std::string stem;
  uint64_t number = 0;  // from 1
  uint64_t count = 0;
};

std::string split_path(const SplitName& name, uint64_t number) {
  return fmt::format("{}-{:05}-of-{:05}.gguf", name.stem, number, name.count);
}

std::optional<uint64_t> digits(std::string_view text) {
  uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  return value;
}

std::optional<SplitName> parse_split_name(std::string_view path) {
  constexpr std::string_view kPattern = "-NNNNN-of-NNNNN.gguf";
  if (path.size() < kPattern.size()) return std::nullopt;
  const std::string_view tail = path.substr(path.size() - kPattern.size());
  const auto number = digits(tail.substr(1, 5));
  const auto count = digits(tail.substr(10, 5));
  if (tail[0] != '-' || tail.substr(6, 4) != "-of-" || tail.substr(15) != ".gguf" || !number ||
      !count) {
    return std::nullopt;
  }
  return SplitName{std::string(path.substr(0, path.size() - kPattern.size())), *number, *count};
}

// Where a part stands in its split file; a file that is not split is part 0 of 1.
struct SplitPlace {
  uint64_t number;
  uint64_t count;
};

Result<SplitPlace> read_split_place(const GgufFile& file) {
  LH_ASSIGN_OR_RETURN(const uint64_t number, file.get_u64_or(kGgufSplitNoKey, 0));
  LH_ASSIGN_OR_RETURN(const uint64_t count, file.get_u64_or(kGgufSplitCountKey, 1));
  if (count > 1 && number >= count) {
    return bad_input("{}: key \"{}\": expected a part from 0 to {}, found {}", file.path(),
                     kGgufSplitNoKey, count - 1, number);
  }
  return SplitPlace{number, count};
}

}  // namespace

uint64_t GgufTensor::n_elements() const {
  uint64_t product = 1;
  for (const uint64_t extent : shape) product *= extent;
  return product;
}

Result<GgufFile> GgufFile::parse(std::span<const std::byte> bytes, std::string name) {
  GgufFile file;
  file.path_ = std::move(name);
  LH_ASSIGN_OR_RETURN(GgufPart part, parse_gguf_part(bytes, file.path_));
  file.version_ = part.version;
  file.alignment_ = part.alignment;
  file.metadata_ = std::move(part.metadata);
  for (size_t i = 0; i < file.metadata_.size(); ++i)
    file.key_index_.emplace(file.metadata_[i].first, i);
  LH_RETURN_IF_ERROR(file.add_tensors(std::move(part.tensors), file.path_));
  return file;
}

Result<GgufFile> GgufFile::open(const std::string& path) {
  LH_ASSIGN_OR_RETURN(MappedFile mapping, MappedFile::open(path));
  LH_ASSIGN_OR_RETURN(GgufFile file, parse(mapping.bytes(), path));
  file.mappings_.push_back(std::move(mapping));
  LH_ASSIGN_OR_RETURN(const SplitPlace place, read_split_place(file));
  if (place.count > 1) LH_RETURN_IF_ERROR(file.open_other_parts(place.number, place.count));
  return file;
}

Status GgufFile::open_other_parts(uint64_t number, uint64_t count) {
  const auto name = parse_split_name(path_);
  if (!name || name->count != count || name->number != number + 1) {
    return bad_input("{}: part {} of {}: expected a file name ending in -{:05}-of-{:05}.gguf",
                     path_, number + 1, count, number + 1, count);
  }
  if (number != 0) {
    return bad_input("{}: part {} of {}: open part 1 instead: {}", path_, number + 1, count,
                     split_path(*name, 1));
  }
  LH_ASSIGN_OR_RETURN(const uint64_t n_tensors, get_u64(kGgufSplitTensorsKey));
  for (uint64_t i = 1; i < count; ++i) {
    const std::string part_path = split_path(*name, i + 1);
    LH_ASSIGN_OR_RETURN(MappedFile mapping, MappedFile::open(part_path));
    LH_ASSIGN_OR_RETURN(GgufFile part, parse(mapping.bytes(), part_path));
    LH_ASSIGN_OR_RETURN(const SplitPlace place, read_split_place(part));
    if (place.number != i || place.count != count) {
      return bad_input("{}: expected part {} of {}, found part {} of {}", part_path, i + 1, count,
                       place.number + 1, place.count);
    }
    LH_RETURN_IF_ERROR(add_tensors(std::move(part.tensors_), part_path));
    mappings_.push_back(std::move(mapping));
  }
  n_parts_ = count;
  if (tensors_.size() != n_tensors) {
    return bad_input("{}: key \"{}\": expected {} tensors in {} parts, found {}", path_,
                     kGgufSplitTensorsKey, n_tensors, count, tensors_.size());
  }
  return {};
}

Status GgufFile::add_tensors(std::vector<GgufTensor> tensors, const std::string& part_path) {
  for (GgufTensor& tensor : tensors) {
    if (!tensor_index_.emplace(tensor.name, tensors_.size()).second) {
      return bad_input("{}: tensor {} is already in an earlier part", part_path,
                       quoted(tensor.name));
    }
    tensors_.push_back(std::move(tensor));
  }
  return {};
}

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto found = tensor_index_.find(std::string(name));
  return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

void GgufFile::release(const GgufTensor& tensor) const {
  for (const MappedFile& mapping : mappings_) {
    const std::span<const std::byte> bytes = mapping.bytes();
    const bool inside =
        tensor.data.data() >= bytes.data() && tensor.data.data() < bytes.data() + bytes.size();
    if (inside) mapping.release(tensor.data);
  }
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto found = key_index_.find(std::string(key));
  return found == key_index_.end() ? nullptr : &metadata_[found->second].second;
}

template <class T, class Convert>
Result<T> GgufFile::get(std::string_view key, std::string_view expected, Convert convert) const {
  const GgufValue* value = find(key);
  if (value == nullptr) {
    return bad_input("{}: key {} is missing; expected {}", path_, quoted(key), expected);
  }
  std::optional<T> converted = convert(*value);
  if (!converted) {
    return bad_input("{}: key {}: expected {}, found {}", path_, quoted(key), expected,
                     describe(*value));
  }
  return std::move(*converted);
}

Result<uint64_t> GgufFile::get_u64(std::string_view key) const {
  return get<uint64_t>(key, "an unsigned integer", [](const GgufValue& v) { return v.to_u64(); });
}

Result<int64_t> GgufFile::get_i64(std::string_view key) const {
  return get<int64_t>(key, "an integer that fits i64",
                      [](const GgufValue& v) { return v.to_i64(); });
}

Result<double> GgufFile::get_f64(std::string_view key) const {
  return get<double>(key, "a number", [](const GgufValue& v) { return v.to_f64(); });
}

Result<bool> GgufFile::get_bool(std::string_view key) const {
  return get<bool>(key, "a bool", [](const GgufValue& v) { return v.to_bool(); });
}

Result<std::string_view> GgufFile::get_string(std::string_view key) const {
  return get<std::string_view>(key, "a string", [](const GgufValue& v) { return v.to_string(); });
}

Result<std::vector<uint64_t>> GgufFile::get_u64_array(std::string_view key) const {
  using Items = std::vector<uint64_t>;
  return get<Items>(key, "an array of unsigned integers", [](const GgufValue& v) {
    return v.array() != nullptr ? v.array()->to_u64() : std::nullopt;
  });
}

Result<std::vector<int32_t>> GgufFile::get_i32_array(std::string_view key) const {
  using Items = std::vector<int32_t>;
  return get<Items>(key, "an array of integers that fit i32", [](const GgufValue& v) {
    return v.array() != nullptr ? v.array()->to_i32() : std::nullopt;
  });
}

Result<std::vector<float>> GgufFile::get_f32_array(std::string_view key) const {
  using Items = std::vector<float>;
  return get<Items>(key, "an array of numbers that fit f32", [](const GgufValue& v) {
    return v.array() != nullptr ? v.array()->to_f32() : std::nullopt;
  });
}

Result<std::vector<bool>> GgufFile::get_bool_array(std::string_view key) const {
  using Items = std::vector<bool>;
  return get<Items>(key, "an array of bools", [](const GgufValue& v) {
    return v.array() != nullptr ? v.array()->to_bool() : std::nullopt;
  });
}

Result<std::vector<std::string_view>> GgufFile::get_string_array(std::string_view key) const {
  using Items = std::vector<std::string_view>;
  return get<Items>(key, "an array of strings", [](const GgufValue& v) -> std::optional<Items> {
    const Items* strings = v.array() != nullptr ? v.array()->strings() : nullptr;
    return strings != nullptr ? std::optional(*strings) : std::nullopt;
  });
}

Result<uint64_t> GgufFile::get_u64_or(std::string_view key, uint64_t fallback) const {
  return has(key) ? get_u64(key) : fallback;
}
Result<int64_t> GgufFile::get_i64_or(std::string_view key, int64_t fallback) const {
  return has(key) ? get_i64(key) : fallback;
}
Result<double> GgufFile::get_f64_or(std::string_view key, double fallback) const {
  return has(key) ? get_f64(key) : fallback;
}
Result<bool> GgufFile::get_bool_or(std::string_view key, bool fallback) const {
  return has(key) ? get_bool(key) : Result<bool>(fallback);
}
Result<std::string_view> GgufFile::get_string_or(std::string_view key,
                                                 std::string_view fallback) const {
  return has(key) ? get_string(key) : fallback;
}

}  // namespace longhaul
