#include "io/gguf_parse.h"

#include <bit>
#include <optional>
#include <unordered_set>

#include "base/tensor_type.h"
#include "io/byte_reader.h"

namespace longhaul {
namespace {

constexpr uint64_t kMinKeyValueBytes = 8 + 1 + 4 + 1;  // a one-byte key with a one-byte value
constexpr uint64_t kMinTensorInfoBytes = 8 + 1 + 4 + 8 + 4 + 8;  // a one-byte name, one extent

struct Header {
  uint32_t version;
  uint64_t n_tensors;
  uint64_t n_keys;
};

Result<Header> read_header(ByteReader& reader) {
  LH_ASSIGN_OR_RETURN(const auto magic, reader.take(kGgufMagic.size(), "the magic number"));
  const std::string_view found(reinterpret_cast<const char*>(magic.data()), magic.size());
  if (found != kGgufMagic) {
    return bad_input("{}: not a GGUF file: expected it to begin with \"GGUF\", found {}",
                     reader.name(), quoted(found));
  }
  LH_ASSIGN_OR_RETURN(const auto version, reader.read<uint32_t>("the version"));
  if ((version & 0xffff) == 0 && version != 0) {
    return unsupported(
        "{}: a GGUF file of the other byte order (big-endian); convert it to little-endian",
        reader.name());
  }
  if (version != 2 && version != 3) {
    return unsupported("{}: expected GGUF version 2 or 3, found {}", reader.name(), version);
  }
  LH_ASSIGN_OR_RETURN(const auto n_tensors, reader.read<uint64_t>("the tensor count"));
  LH_ASSIGN_OR_RETURN(const auto n_keys, reader.read<uint64_t>("the key count"));
  LH_RETURN_IF_ERROR(reader.check_count(n_keys, kMinKeyValueBytes, "keys"));
  LH_RETURN_IF_ERROR(reader.check_count(n_tensors, kMinTensorInfoBytes, "tensors"));
  return Header{version, n_tensors, n_keys};
}

Result<GgufType> read_type(ByteReader& reader, std::string_view what) {
  LH_ASSIGN_OR_RETURN(const auto id, reader.read<uint32_t>(what));
  if (id >= kNumGgufTypes) {
    return bad_input("{}: {}: expected a value type from 0 to {}, found {}", reader.name(), what,
                     kNumGgufTypes - 1, id);
  }
  return static_cast<GgufType>(id);
}

// Reads one number and widens it.
template <class Narrow, class Wide>
Result<Wide> read_as(ByteReader& reader, std::string_view what) {
  LH_ASSIGN_OR_RETURN(const auto value, reader.read<Narrow>(what));
  return static_cast<Wide>(value);
}

Result<uint64_t> read_unsigned(ByteReader& reader, GgufType type, std::string_view what) {
  switch (gguf_type_bytes(type)) {
    case 1:
      return read_as<uint8_t, uint64_t>(reader, what);
    case 2:
      return read_as<uint16_t, uint64_t>(reader, what);
    case 4:
      return read_as<uint32_t, uint64_t>(reader, what);
    default:
      return reader.read<uint64_t>(what);
  }
}

Result<int64_t> read_signed(ByteReader& reader, GgufType type, std::string_view what) {
  switch (gguf_type_bytes(type)) {
    case 1:
      return read_as<int8_t, int64_t>(reader, what);
    case 2:
      return read_as<int16_t, int64_t>(reader, what);
    case 4:
      return read_as<int32_t, int64_t>(reader, what);
    default:
      return reader.read<int64_t>(what);
  }
}

Result<double> read_float(ByteReader& reader, GgufType type, std::string_view what) {
  if (type == GgufType::kF32) return read_as<float, double>(reader, what);
  return reader.read<double>(what);
}

Result<bool> read_bool(ByteReader& reader, std::string_view what) {
  LH_ASSIGN_OR_RETURN(const auto byte, reader.read<uint8_t>(what));
  if (byte > 1)
    return bad_input("{}: {}: expected a bool of 0 or 1, found {}", reader.name(), what, byte);
  return byte == 1;
}

template <class T, class ReadOne>
Result<GgufArray> read_items(GgufType type, uint64_t count, ReadOne read_one) {
  std::vector<T> items;
  items.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    LH_ASSIGN_OR_RETURN(const auto item, read_one());
    items.push_back(static_cast<T>(item));
  }
  return GgufArray{type, std::move(items)};
}

Result<GgufArray> read_array(ByteReader& reader, std::string_view what) {
  LH_ASSIGN_OR_RETURN(const GgufType type, read_type(reader, what));
  if (type == GgufType::kArray) {
    return unsupported("{}: {}: expected an array of scalars or strings, found an array of arrays",
                       reader.name(), what);
  }
  LH_ASSIGN_OR_RETURN(const auto count, reader.read<uint64_t>(what));
  const uint64_t min_bytes = type == GgufType::kString ? 8 : gguf_type_bytes(type);
  LH_RETURN_IF_ERROR(reader.check_count(count, min_bytes, fmt::format("elements of {}", what)));
  if (type == GgufType::kString) {
    return read_items<std::string_view>(type, count, [&] { return reader.read_string(what); });
  }
  if (type == GgufType::kBool) {
    return read_items<uint64_t>(type, count, [&] { return read_bool(reader, what); });
  }
  if (is_float(type)) {
    return read_items<double>(type, count, [&] { return read_float(reader, type, what); });
  }
  if (is_signed_integer(type)) {
    return read_items<int64_t>(type, count, [&] { return read_signed(reader, type, what); });
  }
  return read_items<uint64_t>(type, count, [&] { return read_unsigned(reader, type, what); });
}

Result<GgufValue> read_value(ByteReader& reader, std::string_view what) {
  LH_ASSIGN_OR_RETURN(const GgufType type, read_type(reader, what));
  const auto wrap = [type](auto result) -> Result<GgufValue> {
    if (!result) return tl::unexpected<Error>(std::move(result.error()));
    return GgufValue(type, std::move(*result));
  };
  if (type == GgufType::kString) return wrap(reader.read_string(what));
  if (type == GgufType::kArray) return wrap(read_array(reader, what));
  if (type == GgufType::kBool) return wrap(read_bool(reader, what));
  if (is_float(type)) return wrap(read_float(reader, type, what));
  if (is_signed_integer(type)) return wrap(read_signed(reader, type, what));
  return wrap(read_unsigned(reader, type, what));
}

Status read_metadata(ByteReader& reader, uint64_t n_keys, GgufPart& part) {
  std::unordered_set<std::string_view> seen;
  part.metadata.reserve(n_keys);
  for (uint64_t i = 0; i < n_keys; ++i) {
    LH_ASSIGN_OR_RETURN(const auto key, reader.read_string(fmt::format("the name of key {}", i)));
    if (key.empty() || key.size() > kGgufMaxKeyBytes) {
      return bad_input("{}: key {}: expected a name of 1 to {} bytes, found {}", reader.name(), i,
                       kGgufMaxKeyBytes, key.size());
    }
    if (!seen.insert(key).second) {
      return bad_input("{}: key {} appears twice", reader.name(), quoted(key));
    }
    LH_ASSIGN_OR_RETURN(auto value, read_value(reader, fmt::format("key {}", quoted(key))));
    part.metadata.emplace_back(std::string(key), std::move(value));
  }
  return {};
}

Status read_alignment(const std::string& name, GgufPart& part) {
  for (const auto& [key, value] : part.metadata) {
    if (key != kGgufAlignmentKey) continue;
    const std::optional<uint64_t> alignment = value.to_u64();
    if (!alignment || !check_gguf_alignment(*alignment)) {
      return bad_input("{}: key {}: expected a power of two from {} to 2^31, found {}", name,
                       quoted(key), kGgufMinAlignment, describe(value));
    }
    part.alignment = *alignment;
  }
  return {};
}

// A tensor's description with its place in the data section; the data itself is bound later.
struct TensorPlace {
  uint64_t offset;
  uint64_t n_bytes;
};

Result<TensorPlace> read_tensor_info(ByteReader& reader, GgufTensor& tensor) {
  const std::string what = fmt::format("tensor {}", quoted(tensor.name));
  LH_ASSIGN_OR_RETURN(const auto n_dims, reader.read<uint32_t>(what));
  if (n_dims < 1 || n_dims > kGgufMaxDims) {
    return bad_input("{}: {}: expected 1 to {} dimensions, found {}", reader.name(), what,
                     kGgufMaxDims, n_dims);
  }
  for (uint32_t i = 0; i < n_dims; ++i) {
    LH_ASSIGN_OR_RETURN(const auto extent, reader.read<uint64_t>(what));
    tensor.shape.push_back(extent);
  }
  LH_ASSIGN_OR_RETURN(tensor.type_id, reader.read<uint32_t>(what));
  LH_ASSIGN_OR_RETURN(const auto offset, reader.read<uint64_t>(what));
  const Result<uint64_t> n_bytes = gguf_tensor_bytes(tensor.type_id, tensor.shape);
  if (!n_bytes) {
    return make_error(n_bytes.error().code, "{}: {}: {}", reader.name(), what,
                      n_bytes.error().message);
  }
  return TensorPlace{offset, *n_bytes};
}

Result<std::vector<TensorPlace>> read_tensor_infos(ByteReader& reader, uint64_t n_tensors,
                                                   GgufPart& part) {
  std::unordered_set<std::string_view> seen;
  std::vector<TensorPlace> places;
  LH_RETURN_IF_ERROR(reader.check_count(n_tensors, kMinTensorInfoBytes, "tensors"));
  part.tensors.reserve(n_tensors);
  places.reserve(n_tensors);
  for (uint64_t i = 0; i < n_tensors; ++i) {
    LH_ASSIGN_OR_RETURN(const auto name,
                        reader.read_string(fmt::format("the name of tensor {}", i)));
    if (name.empty() || name.size() > kGgufMaxTensorNameBytes) {
      return bad_input("{}: tensor {}: expected a name of 1 to {} bytes, found {}", reader.name(),
                       i, kGgufMaxTensorNameBytes, name.size());
    }
    if (!seen.insert(name).second)
      return bad_input("{}: tensor {} appears twice", reader.name(), quoted(name));
    GgufTensor tensor;
    tensor.name = name;
    LH_ASSIGN_OR_RETURN(const TensorPlace place, read_tensor_info(reader, tensor));
    places.push_back(place);
    part.tensors.push_back(std::move(tensor));
  }
  return places;
}

// Checks that the tensors lie one after the other, padded, inside the file, and binds their data.
Status bind_data(std::span<const std::byte> bytes, const ByteReader& reader,
                 std::span<const TensorPlace> places, GgufPart& part) {
  if (places.empty()) return {};
  const std::optional<uint64_t> data_start = align_up(reader.position(), part.alignment);
  uint64_t expected = 0;  // offset of the next tensor, from data_start
  uint64_t end = 0;       // of the last tensor, from the start of the file
  for (size_t i = 0; i < places.size(); ++i) {
    const std::string& tensor_name = part.tensors[i].name;
    if (places[i].offset != expected) {
      return bad_input("{}: tensor {}: expected its data at offset {}, found {}", reader.name(),
                       quoted(tensor_name), expected, places[i].offset);
    }
    uint64_t start = 0;
    uint64_t next = 0;
    if (!data_start || __builtin_add_overflow(*data_start, expected, &start) ||
        __builtin_add_overflow(start, places[i].n_bytes, &end) ||
        __builtin_add_overflow(expected, places[i].n_bytes, &next) ||
        !align_up(next, part.alignment)) {
      return bad_input("{}: tensor {}: its {} bytes at offset {} end beyond 2^64", reader.name(),
                       quoted(tensor_name), places[i].n_bytes, expected);
    }
    if (end <= bytes.size()) part.tensors[i].data = bytes.subspan(start, places[i].n_bytes);
    expected = *align_up(next, part.alignment);
  }
  if (end > bytes.size()) {
    return bad_input(
        "{}: the file is cut short: its tensors need {} bytes, found {}: {} bytes are missing",
        reader.name(), end, bytes.size(), end - bytes.size());
  }
  return {};
}

std::string supported_types() {
  std::string list;
  for (const TensorTypeInfo& info : all_tensor_types()) {
    list += fmt::format("{}{} {}", list.empty() ? "" : ", ", info.id, info.name);
  }
  return list;
}

}  // namespace

std::optional<uint64_t> align_up(uint64_t value, uint64_t alignment) {
  uint64_t sum = 0;
  if (__builtin_add_overflow(value, alignment - 1, &sum)) return std::nullopt;
  return sum & ~(alignment - 1);
}

Status check_gguf_alignment(uint64_t alignment) {
  if (std::has_single_bit(alignment) && alignment >= kGgufMinAlignment && alignment <= UINT32_MAX)
    return {};
  return bad_input("expected an alignment that is a power of two from {} to 2^31, found {}",
                   kGgufMinAlignment, alignment);
}

Result<uint64_t> gguf_tensor_bytes(uint32_t type_id, std::span<const uint64_t> shape) {
  const TensorTypeInfo* info = find_tensor_type(type_id);
  if (info == nullptr) {
    return unsupported("unknown tensor type {}; supported: {}", type_id, supported_types());
  }
  uint64_t n_elements = 1;
  for (const uint64_t extent : shape) {
    if (extent == 0)
      return bad_input("expected extents of at least 1, found [{}]", fmt::join(shape, ", "));
    if (__builtin_mul_overflow(n_elements, extent, &n_elements)) {
      return bad_input("the number of elements of shape [{}] overflows 64 bits",
                       fmt::join(shape, ", "));
    }
  }
  if (shape[0] % info->block_len != 0) {
    return bad_input("expected rows of a multiple of {} elements for type {}, found {}",
                     info->block_len, info->name, shape[0]);
  }
  uint64_t n_bytes = 0;
  if (__builtin_mul_overflow(n_elements / info->block_len, uint64_t{info->block_bytes}, &n_bytes)) {
    return bad_input("the bytes of shape [{}] of type {} overflow 64 bits", fmt::join(shape, ", "),
                     info->name);
  }
  return n_bytes;
}

Result<GgufPart> parse_gguf_part(std::span<const std::byte> bytes, const std::string& name) {
  ByteReader reader(bytes, name);
  LH_ASSIGN_OR_RETURN(const Header header, read_header(reader));
  GgufPart part;
  part.version = header.version;
  LH_RETURN_IF_ERROR(read_metadata(reader, header.n_keys, part));
  LH_RETURN_IF_ERROR(read_alignment(name, part));
  LH_ASSIGN_OR_RETURN(const auto places, read_tensor_infos(reader, header.n_tensors, part));
  LH_RETURN_IF_ERROR(bind_data(bytes, reader, places, part));
  return part;
}

}  // namespace longhaul
