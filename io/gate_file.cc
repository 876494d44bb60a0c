#include "io/gate_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <set>
#include <string_view>

#include "base/check.h"
#include "quant/registry.h"

namespace longhaul {
namespace {

constexpr std::string_view kKind = "attention_gate";
constexpr size_t kMaxCount = 1024;  // of layers, heads, dimensions: products fit in 64 bits
constexpr size_t kPools = 3;        // max, min, mean

// One tensor of a layer's gate: where its values are and the extents they have.
template <class Values>
struct Part {
  std::string name;
  std::vector<uint64_t> shape;  // fastest-running first, as in the file
  Values* values;
  bool is_matrix;
};

// The tensors of layer `index`; LayerGate may be const.
template <class Layer>
auto layer_parts(const GateWeights& gates, size_t index, Layer& layer) {
  using Values = std::remove_reference_t<decltype((layer.wq))>;
  const GateBase& base = gates.base;
  const auto name = [&](std::string_view suffix) {
    return fmt::format("blk.{}.attn_gate_{}.weight", index, suffix);
  };
  std::vector<Part<Values>> parts;
  const size_t d = base.head_dim;
  const size_t h = base.n_kv_heads;
  parts.push_back({name("q"), {base.n_group() * d, gates.dim, h}, &layer.wq, true});
  parts.push_back({name("k"), {kPools * d, gates.dim, h}, &layer.wk, true});
  if (gates.qk_norm) {
    parts.push_back({name("q_norm"), {gates.dim}, &layer.q_norm, false});
    parts.push_back({name("k_norm"), {gates.dim}, &layer.k_norm, false});
  }
  return parts;
}

size_t n_elements(const std::vector<uint64_t>& shape) {
  size_t n = 1;
  for (const uint64_t extent : shape) n *= extent;
  return n;
}

Status check_sizes(const GateWeights& gates, const std::string& file) {
  const GateBase& base = gates.base;
  const auto in_range = [&](std::string_view key, size_t value, size_t most) -> Status {
    if (value >= 1 && value <= most) return {};
    return bad_input("{}: key \"gate.{}\": expected 1 to {}, found {}", file, key, most, value);
  };
  LH_RETURN_IF_ERROR(in_range("block_count", base.n_layers, kMaxCount));
  LH_RETURN_IF_ERROR(in_range("head_count", base.n_heads, kMaxCount));
  LH_RETURN_IF_ERROR(in_range("head_count_kv", base.n_kv_heads, base.n_heads));
  LH_RETURN_IF_ERROR(in_range("head_dim", base.head_dim, kMaxCount));
  if (base.n_heads % base.n_kv_heads != 0) {
    return bad_input("{}: key \"gate.head_count\": expected a multiple of {} KV heads, found {}",
                     file, base.n_kv_heads, base.n_heads);
  }
  if (gates.dim == 0 || gates.dim % 32 != 0 || gates.dim > kMaxGateDim) {
    return unsupported("{}: key \"gate.key_length\": expected a multiple of 32 up to {}, found {}",
                       file, kMaxGateDim, gates.dim);
  }
  if (!std::has_single_bit(gates.block_size) || gates.block_size < 4 || gates.block_size > 256) {
    return unsupported(
        "{}: key \"gate.block_size\": expected 4, 8, 16, 32, 64, 128 or 256, found {}", file,
        gates.block_size);
  }
  if (gates.sink_blocks > kMaxSinkBlocks) {
    return unsupported("{}: key \"gate.sink_blocks\": expected 0 or {}, found {}", file,
                       kMaxSinkBlocks, gates.sink_blocks);
  }
  if (!(gates.norm_eps > 0.0F && gates.norm_eps < 1.0F)) {
    return bad_input("{}: key \"gate.norm_eps\": expected a number between 0 and 1, found {}", file,
                     gates.norm_eps);
  }
  return {};
}

// Every tensor the gates need and no other, or an error that names all that are wrong.
Status check_tensor_names(const GgufFile& file, const std::set<std::string>& expected) {
  std::vector<std::string> missing;
  std::vector<std::string> extra;
  for (const std::string& name : expected) {
    if (file.find_tensor(name) == nullptr) missing.push_back(name);
  }
  for (const GgufTensor& tensor : file.tensors()) {
    if (!expected.contains(tensor.name)) extra.push_back(quoted(tensor.name));
  }
  if (missing.empty() && extra.empty()) return {};
  std::string text;
  if (!missing.empty()) text += fmt::format("missing tensors: {}", fmt::join(missing, ", "));
  if (!missing.empty() && !extra.empty()) text += "; ";
  if (!extra.empty()) text += fmt::format("tensors not expected: {}", fmt::join(extra, ", "));
  return bad_input("{}: {}", file.path(), text);
}

Status check_values(const std::string& prefix, const std::string& name,
                    std::span<const float> values) {
  const size_t bad = find_unquantizable(values);
  if (bad == values.size()) return {};
  return bad_input("{}tensor \"{}\": expected finite values up to 65504, found {} at {}", prefix,
                   name, values[bad], bad);
}

Status read_tensor(const GgufFile& file, const Part<std::vector<float>>& part) {
  const GgufTensor& tensor = *file.find_tensor(part.name);
  if (tensor.shape != part.shape) {
    return bad_input("{}: tensor \"{}\": expected shape {}, found {}", file.path(), part.name,
                     fmt::join(part.shape, " x "), fmt::join(tensor.shape, " x "));
  }
  if (tensor.type() != TensorType::kF32 && tensor.type() != TensorType::kF16) {
    return unsupported("{}: tensor \"{}\": expected type F32 or F16, found {}", file.path(),
                       part.name, tensor_type_info(tensor.type()).name);
  }
  part.values->resize(tensor.n_elements());
  find_quant(tensor.type())
      ->dequantize(tensor.data.data(), part.values->data(), part.values->size());
  return check_values(file.path() + ": ", part.name, *part.values);
}

Status add_tensor(const Part<const std::vector<float>>& part, TensorType type, GgufWriter& writer) {
  const std::vector<float>& values = *part.values;
  if (values.size() != n_elements(part.shape)) {
    return bad_input("tensor \"{}\": expected {} values, found {}", part.name,
                     n_elements(part.shape), values.size());
  }
  LH_RETURN_IF_ERROR(check_values("", part.name, values));
  if (type == TensorType::kF32 || !part.is_matrix) {
    return writer.add_tensor(part.name, TensorType::kF32, part.shape,
                             std::as_bytes(std::span(values)));
  }
  return writer.add_tensor(part.name, type, part.shape, [&values, type](GgufWriter::Sink sink) {
    std::vector<std::byte> encoded(values.size() * tensor_type_info(type).block_bytes);
    find_quant(type)->quantize(values.data(), encoded.data(), values.size());
    return sink(encoded);
  });
}

}  // namespace

bool is_gate_file(const GgufFile& file) {
  const auto type = file.get_string_or("general.type", "");
  const auto adapter = file.get_string_or("adapter.type", "");
  return type && *type == "adapter" && adapter && *adapter == kKind;
}

Result<GateWeights> read_gate_keys(const GgufFile& file) {
  if (!is_gate_file(file)) {
    return bad_input(
        "{}: not a gate file: expected keys \"general.type\" \"adapter\" and \"adapter.type\" "
        "\"{}\"",
        file.path(), kKind);
  }
  GateWeights gates;
  GateBase& base = gates.base;
  LH_ASSIGN_OR_RETURN(base.architecture, file.get_string("general.architecture"));
  LH_ASSIGN_OR_RETURN(base.name, file.get_string("gate.base_model.name"));
  LH_ASSIGN_OR_RETURN(base.fingerprint, file.get_string("gate.base_model.fingerprint"));
  LH_ASSIGN_OR_RETURN(base.n_layers, file.get_u64("gate.block_count"));
  LH_ASSIGN_OR_RETURN(base.n_heads, file.get_u64("gate.head_count"));
  LH_ASSIGN_OR_RETURN(base.n_kv_heads, file.get_u64("gate.head_count_kv"));
  LH_ASSIGN_OR_RETURN(base.head_dim, file.get_u64("gate.head_dim"));
  LH_ASSIGN_OR_RETURN(gates.source, file.get_string_or("gate.source", ""));
  LH_ASSIGN_OR_RETURN(gates.block_size, file.get_u64("gate.block_size"));
  LH_ASSIGN_OR_RETURN(gates.sink_blocks, file.get_u64_or("gate.sink_blocks", 0));
  LH_ASSIGN_OR_RETURN(gates.dim, file.get_u64("gate.key_length"));
  LH_ASSIGN_OR_RETURN(gates.rope, file.get_bool("gate.rope"));
  LH_ASSIGN_OR_RETURN(gates.qk_norm, file.get_bool("gate.qk_norm"));
  LH_ASSIGN_OR_RETURN(const double eps, file.get_f64("gate.norm_eps"));
  gates.norm_eps = static_cast<float>(eps);
  LH_RETURN_IF_ERROR(check_sizes(gates, file.path()));
  return gates;
}

Result<GateWeights> read_gates(const GgufFile& file) {
  LH_ASSIGN_OR_RETURN(GateWeights gates, read_gate_keys(file));
  gates.layers.resize(gates.base.n_layers);
  std::vector<Part<std::vector<float>>> parts;
  for (size_t i = 0; i < gates.layers.size(); ++i) {
    for (auto& part : layer_parts(gates, i, gates.layers[i])) parts.push_back(std::move(part));
  }
  std::set<std::string> names;
  for (const auto& part : parts) names.insert(part.name);
  LH_RETURN_IF_ERROR(check_tensor_names(file, names));
  for (const auto& part : parts) LH_RETURN_IF_ERROR(read_tensor(file, part));
  return gates;
}

Result<GateWeights> read_gate_file(const std::string& path) {
  LH_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(path));
  return read_gates(file);
}

Result<GgufWriter> gate_writer(const GateWeights& gates, TensorType type) {
  LH_CHECK(type == TensorType::kF32 || type == TensorType::kF16);
  const GateBase& base = gates.base;
  LH_RETURN_IF_ERROR(check_sizes(gates, "gates"));
  if (gates.layers.size() != base.n_layers)
    return bad_input("gates: expected {} layers, found {}", base.n_layers, gates.layers.size());
  GgufWriter writer;
  const auto set_count = [&](std::string_view key, size_t value) {
    writer.set_u32(key, static_cast<uint32_t>(value));
  };
  writer.set_string("general.type", "adapter");
  writer.set_string("general.architecture", base.architecture);
  writer.set_string("adapter.type", kKind);
  writer.set_string("gate.base_model.name", base.name);
  writer.set_string("gate.base_model.fingerprint", base.fingerprint);
  if (!gates.source.empty()) writer.set_string("gate.source", gates.source);
  set_count("gate.block_size", gates.block_size);
  if (gates.sink_blocks > 0) set_count("gate.sink_blocks", gates.sink_blocks);
  set_count("gate.key_length", gates.dim);
  set_count("gate.block_count", base.n_layers);
  set_count("gate.head_count", base.n_heads);
  set_count("gate.head_count_kv", base.n_kv_heads);
  set_count("gate.head_dim", base.head_dim);
  writer.set_bool("gate.rope", gates.rope);
  writer.set_bool("gate.qk_norm", gates.qk_norm);
  writer.set_f32("gate.norm_eps", gates.norm_eps);
  for (size_t i = 0; i < gates.layers.size(); ++i) {
    for (const auto& part : layer_parts(gates, i, gates.layers[i]))
      LH_RETURN_IF_ERROR(add_tensor(part, type, writer));
  }
  return writer;
}

Status write_gate_file(const GateWeights& gates, const std::string& path, TensorType type) {
  LH_ASSIGN_OR_RETURN(const GgufWriter writer, gate_writer(gates, type));
  return writer.write(path);
}

Result<std::string> model_fingerprint(const GgufFile& model) {
  std::vector<const GgufTensor*> norms;
  for (const GgufTensor& tensor : model.tensors()) {
    if (tensor.name.ends_with("_norm.weight") && tensor.type() == TensorType::kF32)
      norms.push_back(&tensor);
  }
  if (norms.empty()) return bad_input("{}: no F32 norm weights to tell the model by", model.path());
  std::sort(norms.begin(), norms.end(),
            [](const auto* a, const auto* b) { return a->name < b->name; });
  uint64_t hash = 0;
  for (const GgufTensor* norm : norms) {
    hash = XXH3_64bits_withSeed(norm->name.data(), norm->name.size(), hash);
    hash = XXH3_64bits_withSeed(norm->data.data(), norm->data.size(), hash);
  }
  return fmt::format("{:016x}", hash);
}

Status check_same_base(const std::string& file, const GateBase& expected, const GateBase& found) {
  const auto same = [&](std::string_view what, const auto& theirs, const auto& ours) -> Status {
    if (theirs == ours) return {};
    return bad_input("{}: gates of another model: trained for {} with {} {}, but {} has {}", file,
                     quoted(expected.name), what, theirs, quoted(found.name), ours);
  };
  LH_RETURN_IF_ERROR(same("architecture", expected.architecture, found.architecture));
  LH_RETURN_IF_ERROR(same("layers", expected.n_layers, found.n_layers));
  LH_RETURN_IF_ERROR(same("heads", expected.n_heads, found.n_heads));
  LH_RETURN_IF_ERROR(same("KV heads", expected.n_kv_heads, found.n_kv_heads));
  LH_RETURN_IF_ERROR(same("head size", expected.head_dim, found.head_dim));
  return same("fingerprint", expected.fingerprint, found.fingerprint);
}

}  // namespace longhaul
