#include "io/gguf_writer.h"

#include <algorithm>
#include <array>
#include <type_traits>

#include "base/check.h"
#include "io/gguf_parse.h"
#include "io/output_file.h"

namespace longhaul {
namespace {

using ByteVector = std::vector<std::byte>;

constexpr uint32_t kWrittenVersion = 3;
constexpr size_t kMaxParts = UINT16_MAX;  // split.count is a u16

void append(ByteVector& out, std::span<const std::byte> bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

template <class T>
void append_number(ByteVector& out, T value) {
  append(out, std::as_bytes(std::span(&value, 1)));
}

void append_type(ByteVector& out, GgufType type) {
  append_number(out, static_cast<uint32_t>(type));
}

void append_string(ByteVector& out, std::string_view text) {
  append_number(out, static_cast<uint64_t>(text.size()));
  append(out, std::as_bytes(std::span(text)));
}

void append_array_head(ByteVector& out, GgufType element_type, size_t count) {
  append_type(out, GgufType::kArray);
  append_type(out, element_type);
  append_number(out, static_cast<uint64_t>(count));
}

// A widened number in the width of `type`; it came from a value of that type, so it fits.
template <class Wide>
void append_narrowed(ByteVector& out, GgufType type, Wide value) {
  if constexpr (std::is_same_v<Wide, double>) {
    if (type == GgufType::kF32) {
      append_number(out, static_cast<float>(value));
    } else {
      append_number(out, value);
    }
  } else {
    append(out, std::as_bytes(std::span(&value, 1)).first(gguf_type_bytes(type)));  // little-endian
  }
}

void append_array(ByteVector& out, const GgufArray& array) {
  append_array_head(out, array.element_type, array.size());
  std::visit(
      [&](const auto& items) {
        for (const auto& item : items) {
          if constexpr (std::is_same_v<std::remove_cvref_t<decltype(item)>, std::string_view>) {
            append_string(out, item);
          } else {
            append_narrowed(out, array.element_type, item);
          }
        }
      },
      array.items);
}

Status check_name(std::string_view what, std::string_view name, uint64_t max_bytes) {
  if (!name.empty() && name.size() <= max_bytes) return {};
  return bad_input("{} {}: expected a name of 1 to {} bytes, found {}", what, quoted(name),
                   max_bytes, name.size());
}

// Whether `encoded` (type number, value) is an integer of the value `expected`.
bool holds_integer(std::span<const std::byte> encoded, uint64_t expected) {
  ByteVector wanted(encoded.begin(), encoded.begin() + sizeof(uint32_t));
  append_number(wanted, expected);
  wanted.resize(encoded.size());
  return std::ranges::equal(encoded, wanted);
}

// Splits tensors of these sizes, in order, into runs of at most `max_bytes`; gives the end of each
// run.
std::vector<size_t> split_points(std::span<const uint64_t> sizes, uint64_t max_bytes) {
  std::vector<size_t> ends;
  uint64_t in_part = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (i > 0 && (in_part >= max_bytes || sizes[i] > max_bytes - in_part)) {
      ends.push_back(i);
      in_part = 0;
    }
    in_part += std::min(sizes[i], max_bytes);
  }
  ends.push_back(sizes.size());
  return ends;
}

}  // namespace

std::vector<std::byte>& GgufWriter::value_of(std::string_view key) {
  for (KeyValue& entry : metadata_) {
    if (entry.key == key) {
      entry.encoded.clear();
      return entry.encoded;
    }
  }
  return metadata_.emplace_back(KeyValue{std::string(key), {}}).encoded;
}

void GgufWriter::set_bytes(std::string_view key, GgufType type, Bytes value) {
  ByteVector& out = value_of(key);
  append_type(out, type);
  append(out, value);
}

void GgufWriter::set_array_bytes(std::string_view key, GgufType element_type, size_t count,
                                 Bytes values) {
  ByteVector& out = value_of(key);
  append_array_head(out, element_type, count);
  append(out, values);
}

void GgufWriter::set_bool(std::string_view key, bool value) {
  set_scalar(key, GgufType::kBool, static_cast<uint8_t>(value));
}

void GgufWriter::set_string(std::string_view key, std::string_view value) {
  ByteVector& out = value_of(key);
  append_type(out, GgufType::kString);
  append_string(out, value);
}

void GgufWriter::set_bool_array(std::string_view key, const std::vector<bool>& values) {
  const std::vector<uint8_t> bytes(values.begin(), values.end());
  set_array(key, GgufType::kBool, std::span<const uint8_t>(bytes));
}

void GgufWriter::set_string_array(std::string_view key, std::span<const std::string_view> values) {
  ByteVector& out = value_of(key);
  append_array_head(out, GgufType::kString, values.size());
  for (const std::string_view value : values) append_string(out, value);
}

void GgufWriter::set_string_array(std::string_view key, const std::vector<std::string>& values) {
  set_string_array(key, std::vector<std::string_view>(values.begin(), values.end()));
}

void GgufWriter::set(std::string_view key, const GgufValue& value) {
  if (key == kGgufAlignmentKey) alignment_ = value.to_u64().value_or(0);  // 0 is refused by check()
  ByteVector& out = value_of(key);
  if (const GgufArray* array = value.array()) return append_array(out, *array);
  append_type(out, value.type());
  if (const auto text = value.to_string()) {
    append_string(out, *text);
  } else if (const auto truth = value.to_bool()) {
    append_number(out, static_cast<uint8_t>(*truth));
  } else if (const auto natural = value.to_u64()) {
    append_narrowed(out, value.type(), *natural);
  } else if (const auto integer = value.to_i64()) {
    append_narrowed(out, value.type(), *integer);
  } else {
    append_narrowed(out, value.type(), value.to_f64().value());
  }
}

void GgufWriter::set_alignment(uint32_t alignment) {
  alignment_ = alignment;
  set_u32(kGgufAlignmentKey, alignment);
}

Status GgufWriter::add_tensor(std::string name, TensorType type, std::vector<uint64_t> shape,
                              Bytes data) {
  LH_RETURN_IF_ERROR(add_tensor(std::move(name), type, std::move(shape),
                                [data](Sink sink) { return sink(data); }));
  const Tensor& added = tensors_.back();
  if (data.size() == added.n_bytes) return {};
  Status wrong = bad_input("tensor {}: expected {} bytes of data, found {}", quoted(added.name),
                           added.n_bytes, data.size());
  tensor_names_.erase(added.name);
  tensors_.pop_back();
  return wrong;
}

Status GgufWriter::add_tensor(std::string name, TensorType type, std::vector<uint64_t> shape,
                              Source source) {
  LH_RETURN_IF_ERROR(check_name("tensor", name, kGgufMaxTensorNameBytes));
  if (shape.empty() || shape.size() > kGgufMaxDims) {
    return bad_input("tensor {}: expected 1 to {} dimensions, found {}", quoted(name), kGgufMaxDims,
                     shape.size());
  }
  const Result<uint64_t> n_bytes = gguf_tensor_bytes(static_cast<uint32_t>(type), shape);
  if (!n_bytes)
    return make_error(n_bytes.error().code, "tensor {}: {}", quoted(name), n_bytes.error().message);
  if (!tensor_names_.insert(name).second) return bad_input("tensor {}: added twice", quoted(name));
  tensors_.push_back({std::move(name), type, std::move(shape), *n_bytes, std::move(source)});
  return {};
}

// What the setters could not report.
Status GgufWriter::check() const {
  LH_RETURN_IF_ERROR(check_gguf_alignment(alignment_));
  for (const KeyValue& entry : metadata_) {
    LH_RETURN_IF_ERROR(check_name("key", entry.key, kGgufMaxKeyBytes));
    if (entry.key == kGgufAlignmentKey && !holds_integer(entry.encoded, alignment_)) {
      return bad_input("key {}: expected {} as set by set_alignment()", quoted(entry.key),
                       alignment_);
    }
  }
  return {};
}

std::vector<std::byte> GgufWriter::encode_header(const Part& part) const {
  ByteVector out;
  append(out, std::as_bytes(std::span(kGgufMagic)));
  append_number(out, kWrittenVersion);
  append_number(out, static_cast<uint64_t>(part.tensors.size()));
  append_number(out, static_cast<uint64_t>(part.metadata.size()));
  for (const KeyValue& entry : part.metadata) {
    append_string(out, entry.key);
    append(out, entry.encoded);
  }
  uint64_t offset = 0;
  for (const Tensor& tensor : part.tensors) {
    append_string(out, tensor.name);
    append_number(out, static_cast<uint32_t>(tensor.shape.size()));
    for (const uint64_t extent : tensor.shape) append_number(out, extent);
    append_number(out, static_cast<uint32_t>(tensor.type));
    append_number(out, offset);
    offset = align_up(offset + tensor.n_bytes, alignment_).value();
  }
  out.resize(align_up(out.size(), alignment_).value());
  return out;
}

Status GgufWriter::write_part(const Part& part, Sink sink) const {
  LH_RETURN_IF_ERROR(sink(encode_header(part)));
  const ByteVector zeros(alignment_);
  for (const Tensor& tensor : part.tensors) {
    uint64_t n_written = 0;
    const auto counting = [&](Bytes piece) {
      n_written += piece.size();
      return sink(piece);
    };
    LH_RETURN_IF_ERROR(tensor.source(counting));
    if (n_written != tensor.n_bytes) {
      return bad_input("tensor {}: expected {} bytes of data, its source gave {}",
                       quoted(tensor.name), tensor.n_bytes, n_written);
    }
    const uint64_t n_padding = align_up(n_written, alignment_).value() - n_written;
    LH_RETURN_IF_ERROR(sink(Bytes(zeros).first(n_padding)));
  }
  return {};
}

uint64_t GgufWriter::data_bytes(const Part& part) const {
  uint64_t sum = 0;
  for (const Tensor& tensor : part.tensors) sum += align_up(tensor.n_bytes, alignment_).value();
  return sum;
}

Status GgufWriter::write_part_file(const Part& part, const std::string& path) const {
  LH_ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(path, data_bytes(part)));
  LH_RETURN_IF_ERROR(write_part(part, [&](Bytes piece) { return file.write(piece); }));
  return file.commit();
}

Status GgufWriter::write(const std::string& path) const {
  LH_RETURN_IF_ERROR(check());
  return write_part_file({metadata_, tensors_}, path);
}

Result<std::vector<std::byte>> GgufWriter::write_to_memory() const {
  LH_RETURN_IF_ERROR(check());
  ByteVector out;
  const auto collect = [&](Bytes piece) -> Status {
    append(out, piece);
    return {};
  };
  LH_RETURN_IF_ERROR(write_part({metadata_, tensors_}, collect));
  return out;
}

Result<std::vector<std::string>> GgufWriter::write_split(const std::string& stem,
                                                         uint64_t max_part_bytes) const {
  LH_RETURN_IF_ERROR(check());
  std::vector<uint64_t> sizes;
  for (const Tensor& tensor : tensors_) sizes.push_back(tensor.n_bytes);
  const std::vector<size_t> ends = split_points(sizes, max_part_bytes);
  if (ends.size() > kMaxParts) {
    return bad_input("{}: at most {} bytes in a part makes {} parts, expected at most {}", stem,
                     max_part_bytes, ends.size(), kMaxParts);
  }
  std::vector<std::string> paths;
  size_t begin = 0;
  for (size_t i = 0; i < ends.size(); ++i) {
    GgufWriter keys;  // the metadata of this part: all of it in the first, only the split keys in
                      // the others
    if (i == 0) keys.metadata_ = metadata_;
    if (alignment_ != kGgufDefaultAlignment) keys.set_alignment(static_cast<uint32_t>(alignment_));
    keys.set_u16(kGgufSplitNoKey, static_cast<uint16_t>(i));
    keys.set_u16(kGgufSplitCountKey, static_cast<uint16_t>(ends.size()));
    keys.set_i32(kGgufSplitTensorsKey, static_cast<int32_t>(tensors_.size()));
    const auto tensors = std::span(tensors_).subspan(begin, ends[i] - begin);
    paths.push_back(fmt::format("{}-{:05}-of-{:05}.gguf", stem, i + 1, ends.size()));
    LH_RETURN_IF_ERROR(write_part_file({std::move(keys.metadata_), tensors}, paths.back()));
    begin = ends[i];
  }
  return paths;
}

}  // namespace longhaul
