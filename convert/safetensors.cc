#include "convert/safetensors.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <tuple>

#include "convert/json_file.h"
#include "io/gguf_value.h"

namespace longhaul {
namespace {

static_assert(std::endian::native == std::endian::little, "the format's byte order");

constexpr size_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr size_t kMaxExtents = 8;

struct ElementType {
  std::string_view name;
  uint64_t n_bytes;
};
constexpr ElementType kElementTypes[] = {
    {"F64", 8},  {"F32", 4}, {"F16", 2},     {"BF16", 2},    {"I64", 8},     {"I32", 4},
    {"I16", 2},  {"I8", 1},  {"U64", 8},     {"U32", 4},     {"U16", 2},     {"U8", 1},
    {"BOOL", 1}, {"C64", 8}, {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"F8_E8M0", 1}, {"F8_E4M3FNUZ", 1},
};

// Where a message is about: "FILE: tensor NAME".
std::string at(const std::string& file, const std::string& tensor) {
  return fmt::format("{}: tensor {}", file, longhaul::quoted(tensor));
}

// Unsigned numbers of a field, `what` for messages.
Result<std::vector<uint64_t>> read_numbers(const Json& entry, std::string_view field,
                                           size_t at_most, const std::string& where) {
  const auto found = entry.find(std::string(field));
  const bool is_list = found != entry.end() && found->is_array() && found->size() <= at_most;
  if (!is_list || !std::all_of(found->begin(), found->end(),
                               [](const Json& number) { return number.is_number_unsigned(); })) {
    return bad_input("{}: '{}': expected at most {} whole numbers, found {}", where, field, at_most,
                     found == entry.end() ? "nothing" : snippet(*found));
  }
  return found->get<std::vector<uint64_t>>();
}

Result<uint64_t> expected_bytes(const SafetensorsTensor& tensor, const std::string& where) {
  const auto* type = std::find_if(std::begin(kElementTypes), std::end(kElementTypes),
                                  [&](const ElementType& t) { return t.name == tensor.dtype; });
  if (type == std::end(kElementTypes)) {
    return unsupported(
        "{}: 'dtype': expected a type of the format such as F32, F16 or BF16, found {}", where,
        longhaul::quoted(tensor.dtype));
  }
  uint64_t n_bytes = type->n_bytes;
  for (const uint64_t extent : tensor.shape) {
    if (__builtin_mul_overflow(n_bytes, extent, &n_bytes))
      return bad_input("{}: 'shape': {} is more than 64 bits can count", where,
                       shown_shape(tensor.shape));
  }
  return n_bytes;
}

// One entry of the header; `data` is what stands behind the header.
Result<SafetensorsTensor> read_entry(const std::string& name, const Json& entry,
                                     std::span<const std::byte> data, const std::string& file) {
  const std::string where = at(file, name);
  if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") ||
      !entry["dtype"].is_string()) {
    return bad_input("{}: expected dtype, shape and data_offsets, found {}", where, snippet(entry));
  }
  SafetensorsTensor tensor;
  tensor.name = name;
  tensor.dtype = entry["dtype"].get<std::string>();
  LH_ASSIGN_OR_RETURN(tensor.shape, read_numbers(entry, "shape", kMaxExtents, where));
  LH_ASSIGN_OR_RETURN(const auto offsets, read_numbers(entry, "data_offsets", 2, where));
  if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data.size()) {
    return bad_input(
        "{}: 'data_offsets': expected begin and end within the {} bytes of data, found {}", where,
        data.size(), snippet(entry["data_offsets"]));
  }
  LH_ASSIGN_OR_RETURN(const uint64_t n_bytes, expected_bytes(tensor, where));
  if (n_bytes != offsets[1] - offsets[0]) {
    return bad_input("{}: expected {} bytes for {} {}, found {}", where, n_bytes, tensor.dtype,
                     shown_shape(tensor.shape), offsets[1] - offsets[0]);
  }
  tensor.data = data.subspan(offsets[0], n_bytes);
  return tensor;
}

// The data of the tensors, sorted by place, must follow one another from begin to end.
Status check_places(const std::vector<SafetensorsTensor>& tensors, std::span<const std::byte> data,
                    const std::string& file) {
  const std::byte* next = data.data();
  for (const SafetensorsTensor& tensor : tensors) {
    if (tensor.data.data() != next) {
      return bad_input("{}: expected its data at offset {}, where the last one's end, found {}",
                       at(file, tensor.name), next - data.data(), tensor.data.data() - data.data());
    }
    next += tensor.data.size();
  }
  if (next != data.data() + data.size()) {
    return bad_input("{}: expected {} bytes of data, found {}: the rest is no tensor's", file,
                     next - data.data(), data.size());
  }
  return {};
}

Status check_notes(const Json& notes, const std::string& file) {
  const bool is_texts =
      notes.is_object() &&
      std::all_of(notes.begin(), notes.end(), [](const Json& v) { return v.is_string(); });
  if (is_texts) return {};
  return bad_input("{}: '__metadata__': expected texts by name, found {}", file, snippet(notes));
}

// The header, and what stands behind it.
struct Parts {
  std::string_view header;
  std::span<const std::byte> data;
};

Result<Parts> split(std::span<const std::byte> bytes, const std::string& file) {
  uint64_t length = 0;
  if (bytes.size() < kLengthBytes)
    return bad_input("{}: expected at least {} bytes, found {}", file, kLengthBytes, bytes.size());
  std::memcpy(&length, bytes.data(), kLengthBytes);
  const uint64_t most = std::min<uint64_t>(kMaxHeaderBytes, bytes.size() - kLengthBytes);
  if (length > most) {
    return bad_input(
        "{}: expected a header of at most {} bytes, found {}: cut, or no safetensors file", file,
        most, length);
  }
  const auto header = bytes.subspan(kLengthBytes, length);
  return Parts{{reinterpret_cast<const char*>(header.data()), header.size()},
               bytes.subspan(kLengthBytes + length)};
}

}  // namespace

Result<std::vector<SafetensorsTensor>> parse_safetensors(std::span<const std::byte> bytes,
                                                         const std::string& name) {
  LH_ASSIGN_OR_RETURN(const Parts parts, split(bytes, name));
  LH_ASSIGN_OR_RETURN(const Json header, parse_document(parts.header, name + ": header"));
  if (!header.is_object())
    return bad_input("{}: header: expected an object, found {}", name, snippet(header));
  std::vector<SafetensorsTensor> tensors;
  for (const auto& [key, entry] : header.items()) {
    if (key == "__metadata__") {
      LH_RETURN_IF_ERROR(check_notes(entry, name));
      continue;
    }
    LH_ASSIGN_OR_RETURN(SafetensorsTensor tensor, read_entry(key, entry, parts.data, name));
    tensors.push_back(std::move(tensor));
  }
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    return std::tuple(a.data.data(), a.data.size()) < std::tuple(b.data.data(), b.data.size());
  });
  LH_RETURN_IF_ERROR(check_places(tensors, parts.data, name));
  return tensors;
}

std::string shown_shape(std::span<const uint64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

}  // namespace longhaul
