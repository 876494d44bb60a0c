#include "convert/quantize.h"

#include <cmath>
#include <functional>
#include <numeric>

#include "base/progress.h"
#include "convert/row_stream.h"
#include "io/gguf.h"
#include "io/gguf_writer.h"
#include "quant/registry.h"

namespace longhaul {
namespace {

// What a few matrices of some architectures are too small and too sensitive for.
constexpr std::string_view kKeptParts[] = {".ffn_gate_inp.", ".attn_decay."};

bool is_matrix(const GgufTensor& tensor) {
  if (tensor.shape.size() < 2 || !tensor.name.ends_with(".weight")) return false;
  for (const std::string_view part : kKeptParts) {
    if (tensor.name.find(part) != std::string::npos) return false;
  }
  return true;
}

// Sums of squares over a tensor.
struct Squares {
  double of_weights = 0, of_errors = 0;
  double relative() const { return of_weights > 0 ? std::sqrt(of_errors / of_weights) : 0; }
};

class Quantizer {
 public:
  Quantizer(const GgufFile& file, const WeightTypes& types, size_t n_threads)
      : file_(file), types_(types), pool_(n_threads) {}

  Status add_tensors(GgufWriter& writer);
  Status write(GgufWriter& writer, const std::string& out);
  std::vector<TensorChange> changes() && { return std::move(changes_); }

 private:
  TensorType type_of(const GgufTensor& tensor, size_t n_layers) const;
  Status add(const GgufTensor& tensor, TensorType type, GgufWriter& writer);
  Status encode(const GgufTensor& tensor, TensorChange& change, GgufWriter::Sink sink);

  const GgufFile& file_;
  const WeightTypes& types_;
  ThreadPool pool_;
  std::vector<TensorChange> changes_;
  uint64_t n_weights_ = 0, n_done_ = 0;
  ProgressBar* bar_ = nullptr;  // while the file is written
};

TensorType Quantizer::type_of(const GgufTensor& tensor, size_t n_layers) const {
  if (!is_matrix(tensor)) return tensor.type();
  const bool is_tied = file_.find_tensor("output.weight") == nullptr;
  const bool makes_logits = tensor.name == (is_tied ? "token_embd.weight" : "output.weight");
  return type_of_matrix(types_, tensor.name, n_layers, makes_logits, tensor.shape[0]);
}

Status Quantizer::add_tensors(GgufWriter& writer) {
  LH_ASSIGN_OR_RETURN(const std::string_view architecture,
                      file_.get_string("general.architecture"));
  LH_ASSIGN_OR_RETURN(const uint64_t n_layers,
                      file_.get_u64(fmt::format("{}.block_count", architecture)));
  changes_.reserve(file_.tensors().size());  // their addresses go into the writer
  for (const GgufTensor& tensor : file_.tensors())
    LH_RETURN_IF_ERROR(add(tensor, type_of(tensor, n_layers), writer));
  return {};
}

Status Quantizer::add(const GgufTensor& tensor, TensorType type, GgufWriter& writer) {
  changes_.push_back({.name = tensor.name,
                      .from = tensor.type(),
                      .to = type,
                      .bytes_before = tensor.data.size(),
                      .bytes_after = tensor.data.size()});
  if (type == tensor.type()) return writer.add_tensor(tensor.name, type, tensor.shape, tensor.data);
  const TensorTypeInfo& from = tensor_type_info(tensor.type());
  if (find_quant(tensor.type()) == nullptr) {
    return unsupported("{}: tensor {}: expected a type that can be decoded, found {}", file_.path(),
                       quoted(tensor.name), from.name);
  }
  n_weights_ += tensor.n_elements();
  TensorChange& change = changes_.back();
  const TensorTypeInfo& to = tensor_type_info(type);
  change.bytes_after = tensor.n_elements() / to.block_len * to.block_bytes;
  return writer.add_tensor(
      tensor.name, type, tensor.shape,
      [this, &tensor, &change](GgufWriter::Sink sink) { return encode(tensor, change, sink); });
}

Status Quantizer::encode(const GgufTensor& tensor, TensorChange& change, GgufWriter::Sink sink) {
  const QuantTraits& from = *find_quant(change.from);
  const QuantTraits& to = *find_quant(change.to);
  const size_t n_in = tensor.shape[0];
  const size_t n_rows = tensor.n_elements() / n_in;
  const size_t row_bytes = tensor.data.size() / n_rows;
  const auto read = [&](size_t row, float* out) {
    from.dequantize(tensor.data.data() + row * row_bytes, out, n_in);
  };
  Squares all;
  std::vector<float> decoded;
  std::vector<Squares> of_rows;
  const auto next = [&](const RowBatch& batch) -> Status {
    decoded.resize(batch.values.size());
    of_rows.assign(batch.n_rows, {});
    const size_t encoded_bytes = batch.encoded.size() / batch.n_rows;
    pool_.run(batch.n_rows, [&](size_t row, size_t) {
      float* const out = decoded.data() + row * n_in;
      to.dequantize(batch.encoded.data() + row * encoded_bytes, out, n_in);
      for (size_t i = 0; i < n_in; ++i) {
        const double weight = batch.values[row * n_in + i];
        of_rows[row].of_weights += weight * weight;
        of_rows[row].of_errors += (out[i] - weight) * (out[i] - weight);
      }
    });
    for (const Squares& row : of_rows) {  // in order: the sum is the same for any number of threads
      all.of_weights += row.of_weights;
      all.of_errors += row.of_errors;
    }
    n_done_ += batch.values.size();
    if (bar_ != nullptr) bar_->update(n_done_, tensor.name);
    return sink(batch.encoded);
  };
  const std::string name = fmt::format("{} of {}", tensor.name, file_.path());
  LH_RETURN_IF_ERROR(stream_rows({n_rows, n_in, read}, change.to, name, pool_, next));
  change.relative_error = all.relative();
  file_.release(tensor);
  return {};
}

Status Quantizer::write(GgufWriter& writer, const std::string& out) {
  ProgressBar bar("quantizing", n_weights_);
  bar_ = &bar;
  const Status status = writer.write(out);
  bar_ = nullptr;
  return status;
}

}  // namespace

Result<std::vector<TensorChange>> quantize_file(const std::string& in, const std::string& out,
                                                const WeightTypes& types, size_t n_threads) {
  LH_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(in));
  GgufWriter writer;
  for (const auto& [key, value] : file.metadata()) {
    if (!key.starts_with("split.")) writer.set(key, value);
  }
  writer.set_u32("general.file_type", types.file_type);
  writer.set_u32("general.quantization_version", 2);
  Quantizer quantizer(file, types, n_threads);
  LH_RETURN_IF_ERROR(quantizer.add_tensors(writer));
  LH_RETURN_IF_ERROR(quantizer.write(writer, out));
  return std::move(quantizer).changes();
}

}  // namespace longhaul
