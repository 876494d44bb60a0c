#include "model/weights.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "quant/registry.h"

namespace longhaul {
namespace {

// Fetches tensors by name and remembers which were used, so that a leftover can be reported.
class Binder {
 public:
  // Matrices are packed into `memory` while it lasts.
  Binder(const GgufFile& file, ThreadPool& pool, std::span<std::byte> memory)
      : file_(file), pool_(pool), memory_(memory) {}

  bool has(const std::string& name) const { return file_.find_tensor(name) != nullptr; }

  // The tensor with that name and shape [rows, cols] in our order; cols == 0 means a vector of
  // `rows`.
  Result<const GgufTensor*> find(const std::string& name, size_t rows, size_t cols) {
    const GgufTensor* tensor = file_.find_tensor(name);
    if (tensor == nullptr) return bad_input("{}: tensor '{}' is missing", file_.path(), name);
    const std::vector<uint64_t> expected =
        cols == 0 ? std::vector<uint64_t>{rows} : std::vector<uint64_t>{cols, rows};
    if (tensor->shape != expected) {
      return bad_input("{}: tensor '{}': expected shape [{}], found [{}]", file_.path(), name,
                       fmt::join(expected, ", "), fmt::join(tensor->shape, ", "));
    }
    if (find_quant(tensor->type()) == nullptr) {
      std::vector<std::string_view> names;
      for (const QuantTraits& traits : all_quants())
        names.push_back(tensor_type_info(traits.type).name);
      return unsupported("{}: tensor '{}' has type {} (id {}); supported: {}", file_.path(), name,
                         find_tensor_type(tensor->type_id)->name, tensor->type_id,
                         fmt::join(names, ", "));
    }
    used_.insert(name);
    return tensor;
  }

  Status vector(const std::string& name, size_t size, AlignedBuffer<float>& out) {
    LH_ASSIGN_OR_RETURN(const GgufTensor* tensor, find(name, size, 0));
    out = AlignedBuffer<float>(size);
    find_quant(tensor->type())->dequantize(tensor->data.data(), out.data(), size);
    return {};
  }

  Status matrix(const std::string& name, size_t n_out, size_t n_in, PackedMatrix& out) {
    LH_ASSIGN_OR_RETURN(const GgufTensor* tensor, find(name, n_out, n_in));
    LH_ASSIGN_OR_RETURN(
        out, PackedMatrix::pack(tensor->type(), tensor->data.data(), n_out, n_in, pool_, memory_));
    packed_bytes_ += out.bytes();
    memory_ = memory_.subspan(std::min(memory_.size(), out.bytes()));
    file_.release(*tensor);  // the interleaved copy is the one that is read from now on
    return {};
  }

  Status refuse_leftovers() const {
    for (const GgufTensor& tensor : file_.tensors()) {
      if (!used_.contains(tensor.name)) {
        return unsupported(
            "{}: tensor '{}' is not part of this architecture; {} of {} tensors are used",
            file_.path(), tensor.name, used_.size(), file_.tensors().size());
      }
    }
    return {};
  }

  size_t packed_bytes() const { return packed_bytes_; }

 private:
  const GgufFile& file_;
  ThreadPool& pool_;
  std::span<std::byte> memory_;  // what is left of it
  std::set<std::string, std::less<>> used_;
  size_t packed_bytes_ = 0;
};

// Room for every matrix that will be packed: the embedding only where the file has no other output
// matrix.
PageRegion reserve_memory(const GgufFile& file) {
  const bool tied = file.find_tensor("output.weight") == nullptr;
  size_t n_bytes = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    if (tensor.shape.size() != 2 || (tensor.name == "token_embd.weight" && !tied)) continue;
    n_bytes += PackedMatrix::packed_bytes(tensor.type(), tensor.shape[1], tensor.shape[0]);
  }
  return PageRegion::reserve(n_bytes);
}

Status bind_layer(Binder& binder, const ModelConfig& config, size_t index, LayerWeights& layer) {
  const auto name = [index](const char* suffix) { return fmt::format("blk.{}.{}", index, suffix); };
  const size_t d_model = config.d_model;
  LH_RETURN_IF_ERROR(binder.vector(name("attn_norm.weight"), d_model, layer.attn_norm));
  LH_RETURN_IF_ERROR(binder.matrix(name("attn_q.weight"), config.q_dim(), d_model, layer.wq));
  LH_RETURN_IF_ERROR(binder.matrix(name("attn_k.weight"), config.kv_dim(), d_model, layer.wk));
  LH_RETURN_IF_ERROR(binder.matrix(name("attn_v.weight"), config.kv_dim(), d_model, layer.wv));
  LH_RETURN_IF_ERROR(binder.matrix(name("attn_output.weight"), d_model, config.q_dim(), layer.wo));
  if (config.qkv_bias) {
    LH_RETURN_IF_ERROR(binder.vector(name("attn_q.bias"), config.q_dim(), layer.bq));
    LH_RETURN_IF_ERROR(binder.vector(name("attn_k.bias"), config.kv_dim(), layer.bk));
    LH_RETURN_IF_ERROR(binder.vector(name("attn_v.bias"), config.kv_dim(), layer.bv));
  }
  if (config.qk_norm) {
    LH_RETURN_IF_ERROR(binder.vector(name("attn_q_norm.weight"), config.head_dim, layer.q_norm));
    LH_RETURN_IF_ERROR(binder.vector(name("attn_k_norm.weight"), config.head_dim, layer.k_norm));
  }
  LH_RETURN_IF_ERROR(binder.vector(name("ffn_norm.weight"), d_model, layer.ffn_norm));
  LH_RETURN_IF_ERROR(binder.matrix(name("ffn_gate.weight"), config.d_ff, d_model, layer.w_gate));
  LH_RETURN_IF_ERROR(binder.matrix(name("ffn_up.weight"), config.d_ff, d_model, layer.w_up));
  LH_RETURN_IF_ERROR(binder.matrix(name("ffn_down.weight"), d_model, config.d_ff, layer.w_down));
  return {};
}

}  // namespace

Result<ModelWeights> bind_weights(const GgufFile& file, ModelConfig& config, ThreadPool& pool) {
  ModelWeights weights;
  weights.memory = reserve_memory(file);
  Binder binder(file, pool, weights.memory.bytes());
  const GgufTensor* embedding = file.find_tensor("token_embd.weight");
  if (embedding == nullptr)
    return bad_input("{}: tensor 'token_embd.weight' is missing", file.path());
  config.vocab_size = embedding->shape.size() == 2 ? embedding->shape[1] : 0;
  LH_ASSIGN_OR_RETURN(embedding,
                      binder.find("token_embd.weight", config.vocab_size, config.d_model));
  weights.embedding_type = embedding->type();
  weights.embedding = embedding->data.data();

  // The largest matrix first: while a tensor is interleaved, its mapped original is in memory too.
  const std::string output_name =
      binder.has("output.weight") ? "output.weight" : "token_embd.weight";
  LH_RETURN_IF_ERROR(binder.matrix(output_name, config.vocab_size, config.d_model, weights.output));

  weights.layers.resize(config.n_layers);
  for (size_t i = 0; i < config.n_layers; ++i) {
    LH_RETURN_IF_ERROR(bind_layer(binder, config, i, weights.layers[i]));
  }
  LH_RETURN_IF_ERROR(binder.vector("output_norm.weight", config.d_model, weights.output_norm));
  if (config.rope.has_factors) {
    LH_RETURN_IF_ERROR(
        binder.vector("rope_freqs.weight", config.rope.dim / 2, weights.rope_factors));
    if (std::any_of(weights.rope_factors.span().begin(), weights.rope_factors.span().end(),
                    [](float factor) { return !(factor > 0.0F); })) {
      return bad_input("{}: tensor 'rope_freqs.weight': expected factors above 0", file.path());
    }
  }
  LH_RETURN_IF_ERROR(binder.refuse_leftovers());
  for (const GgufTensor& tensor : file.tensors()) weights.n_parameters += tensor.n_elements();
  weights.packed_bytes = binder.packed_bytes();
  return weights;
}

}  // namespace longhaul
