#include "convert/convert.h"

#include <cmath>
#include <filesystem>
#include <map>
#include <unordered_set>

#include "base/progress.h"
#include "convert/checkpoint.h"
#include "convert/model_config.h"
#include "convert/row_stream.h"
#include "convert/tensor_list.h"
#include "convert/tokenizer_folder.h"
#include "io/gguf_value.h"
#include "quant/registry.h"

namespace longhaul {
namespace {

namespace fs = std::filesystem;

std::optional<TensorType> find_source_type(const std::string& dtype) {
  if (dtype == "F32") return TensorType::kF32;
  if (dtype == "F16") return TensorType::kF16;
  if (dtype == "BF16") return TensorType::kBF16;
  return std::nullopt;
}

// Finds the tensors of a checkpoint and puts them into a writer.
class Converter {
 public:
  Converter(const Checkpoint& checkpoint, const CheckpointConfig& config,
            const ConvertOptions& options)
      : checkpoint_(checkpoint), config_(config), options_(options), pool_(options.n_threads) {}

  Status add_tensors(GgufWriter& writer);
  Status refuse_unread(ConvertReport& report) const;
  uint64_t n_parameters() const { return n_parameters_; }
  // general.file_type: of the types asked for, or of most weights.
  uint32_t file_type() const;
  // Called once all tensors are known, before they are written.
  void start() { bar_.emplace("converting", n_parameters_); }

 private:
  Result<const CheckpointTensor*> find(const TensorOrder& order) const;
  TensorType type_of(const TensorOrder& order, TensorType source) const;
  Status add(const TensorOrder& order, GgufWriter& writer);
  Status write(const TensorOrder& order, const CheckpointTensor& from, TensorType type,
               GgufWriter::Sink sink);

  const Checkpoint& checkpoint_;
  const CheckpointConfig& config_;
  const ConvertOptions& options_;
  ThreadPool pool_;
  std::unordered_set<std::string> read_;
  std::map<TensorType, uint64_t> n_of_type_;
  uint64_t n_parameters_ = 0, n_done_ = 0;
  std::optional<ProgressBar> bar_;
};

// In a checkpoint with a vision part the language model's "model.X" is "language_model.model.X" or, in
// newer files, "model.language_model.X".
Result<const CheckpointTensor*> Converter::find(const TensorOrder& order) const {
  std::vector<std::string> names{order.source};
  if (config_.has_vision) {
    names.push_back("language_model." + order.source);
    if (order.source.starts_with("model."))
      names.push_back("model.language_model." + order.source.substr(6));
  }
  const CheckpointTensor* found = nullptr;
  for (const std::string& name : names) {
    if (found == nullptr) found = checkpoint_.find(name);
  }
  std::vector<uint64_t> shape{order.n_out};
  if (order.has_middle) shape.push_back(1);
  if (order.n_in > 0) shape.push_back(order.n_in);
  if (found == nullptr) {
    return bad_input("{}: tensor {}: expected {}, found nothing", checkpoint_.folder(),
                     longhaul::quoted(order.source), shown_shape(shape));
  }
  const SafetensorsTensor& tensor = found->tensor;
  if (tensor.shape != shape) {
    return bad_input("{}: tensor {}: expected {}, found {}", checkpoint_.path_of(*found),
                     longhaul::quoted(tensor.name), shown_shape(shape), shown_shape(tensor.shape));
  }
  if (!find_source_type(tensor.dtype)) {
    return unsupported("{}: tensor {}: expected F32, F16 or BF16, found {}",
                       checkpoint_.path_of(*found), longhaul::quoted(tensor.name), tensor.dtype);
  }
  return found;
}

TensorType Converter::type_of(const TensorOrder& order, TensorType source) const {
  if (order.n_in == 0 || order.stays_f32) return TensorType::kF32;  // as all readers expect them
  if (options_.types == nullptr) return source;
  const bool makes_logits =
      order.target == "output.weight" || (config_.is_tied && order.target == "token_embd.weight");
  return type_of_matrix(*options_.types, order.target, config_.n_layers, makes_logits, order.n_in);
}

Status Converter::add(const TensorOrder& order, GgufWriter& writer) {
  LH_ASSIGN_OR_RETURN(const CheckpointTensor* from, find(order));
  read_.insert(from->tensor.name);
  const TensorType type = type_of(order, *find_source_type(from->tensor.dtype));
  const uint64_t n = order.n_out * std::max<uint64_t>(order.n_in, 1);
  n_parameters_ += n;
  n_of_type_[type] += order.n_in == 0 ? 0 : n;
  std::vector<uint64_t> shape{order.n_out};
  if (order.n_in != 0) shape = {order.n_in, order.n_out};
  return writer.add_tensor(
      order.target, type, std::move(shape),
      [this, order, from, type](GgufWriter::Sink sink) { return write(order, *from, type, sink); });
}

Status Converter::add_tensors(GgufWriter& writer) {
  for (const TensorOrder& order : list_tensors(config_)) LH_RETURN_IF_ERROR(add(order, writer));
  return {};
}

Status Converter::write(const TensorOrder& order, const CheckpointTensor& from, TensorType type,
                        GgufWriter::Sink sink) {
  const TensorType source = *find_source_type(from.tensor.dtype);
  const QuantTraits& traits = *find_quant(source);
  RowSource rows{.n_rows = order.n_in == 0 ? 1 : order.n_out,
                 .n_in = order.n_in == 0 ? order.n_out : order.n_in,
                 .read = {}};
  const size_t row_bytes = rows.n_in * tensor_type_info(source).block_bytes;
  rows.read = [&](size_t row, float* out) {
    const std::byte* const data = from.tensor.data.data();
    if (order.n_in > 0) {
      traits.dequantize(data + source_row(order, row) * row_bytes, out, rows.n_in);
    } else {
      const size_t n_bytes = tensor_type_info(source).block_bytes;
      for (size_t i = 0; i < order.n_out; ++i)
        traits.dequantize(data + source_row(order, i) * n_bytes, out + i, 1);
    }
    for (size_t i = 0; order.adds_one && i < rows.n_in; ++i) out[i] += 1;
    for (size_t i = 0; order.is_negated_exp && i < rows.n_in; ++i) out[i] = -std::exp(out[i]);
  };
  const std::string name = fmt::format("{} of {}", from.tensor.name, checkpoint_.path_of(from));
  const auto next = [&](const RowBatch& batch) -> Status {
    n_done_ += batch.values.size();
    if (bar_) bar_->update(n_done_, order.target);
    return sink(batch.encoded);
  };
  LH_RETURN_IF_ERROR(stream_rows(rows, type, name, pool_, next));
  checkpoint_.release(from);
  return {};
}

// Every tensor of the checkpoint has been read, or may be left out.
Status Converter::refuse_unread(ConvertReport& report) const {
  size_t n_vision = 0;
  for (const CheckpointTensor& each : checkpoint_.tensors()) {
    const std::string& name = each.tensor.name;
    if (read_.contains(name) || is_left_out(config_, name)) continue;
    const bool is_vision = name.find("vision_tower.") != std::string::npos ||
                           name.find("multi_modal_projector.") != std::string::npos;
    if (!config_.has_vision || !is_vision) {
      return unsupported(
          "{}: tensor {}: {} models have no such tensor, and what it does would be left out",
          checkpoint_.path_of(each), longhaul::quoted(name), config_.architecture);
    }
    ++n_vision;
  }
  if (n_vision > 0)
    report.notes.push_back(fmt::format("{} tensors of the vision part are left out", n_vision));
  return {};
}

uint32_t Converter::file_type() const {
  if (options_.types != nullptr) return options_.types->file_type;
  TensorType most = TensorType::kF32;
  uint64_t n_most = 0;
  for (const auto& [type, n] : n_of_type_) {
    if (n <= n_most) continue;
    most = type;
    n_most = n;
  }
  return (*find_weight_types(tensor_type_info(most).name))->file_type;
}

std::string name_of_folder(const std::string& folder) {
  const fs::path path = fs::weakly_canonical(folder);
  return path.filename().string();
}

}  // namespace

Result<ConvertReport> convert_checkpoint(const std::string& folder, const std::string& out,
                                         const ConvertOptions& options) {
  const std::string config_path = (fs::path(folder) / "config.json").string();
  LH_ASSIGN_OR_RETURN(const Json document, read_document(config_path));
  LH_ASSIGN_OR_RETURN(const CheckpointConfig config, read_model_config(document, config_path));
  LH_ASSIGN_OR_RETURN(const JsonFields fields, JsonFields::of(document, config_path));
  LH_ASSIGN_OR_RETURN(const TokenizerFolder tokenizer,
                      read_tokenizer_folder(folder, fields, config.vocab_size));
  LH_ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::open(folder));
  ConvertReport report{.architecture = config.architecture, .notes = tokenizer.notes};

  GgufWriter writer;
  Converter converter(checkpoint, config, options);
  writer.set_string("general.architecture", config.architecture);
  writer.set_string("general.type", "model");
  writer.set_string("general.name", options.name.empty() ? name_of_folder(folder) : options.name);
  set_model_keys(config, writer);
  set_tokenizer_keys(tokenizer, writer);
  const std::vector<float> divisors = config.rope.type == "llama3"
                                          ? llama3_divisors(config.rope, config.head_dim)
                                          : std::vector<float>();
  if (!divisors.empty()) {
    LH_RETURN_IF_ERROR(writer.add_tensor("rope_freqs.weight", TensorType::kF32, {divisors.size()},
                                         std::as_bytes(std::span(divisors))));
  }
  LH_RETURN_IF_ERROR(converter.add_tensors(writer));
  LH_RETURN_IF_ERROR(converter.refuse_unread(report));
  writer.set_u32("general.file_type", converter.file_type());
  writer.set_u32("general.quantization_version", 2);
  converter.start();
  LH_RETURN_IF_ERROR(writer.write(out));
  report.n_tensors = list_tensors(config).size() + (divisors.empty() ? 0 : 1);
  report.n_parameters = converter.n_parameters();
  return report;
}

}  // namespace longhaul
