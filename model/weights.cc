#include "model/weights.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <set>

#include "model/tensors.h"
#include "quant/registry.h"

namespace longhaul {
namespace {

// Binds what it visits and remembers which tensors were used, so that a leftover can be reported.
// After an Error it does nothing more.
class Binder : public TensorVisitor {
 public:
  // Matrices are packed into `memory` while it lasts.
  Binder(const GgufFile& file, ThreadPool& pool, std::span<std::byte> memory)
      : file_(file), pool_(pool), memory_(memory) {}

  const Status& status() const { return status_; }

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

 protected:
  void visit(const TensorSpec& spec, TableView& weight) override {
    run(spec, [&](const GgufTensor& tensor) -> Status {
      weight = {.type = tensor.type(), .rows = tensor.data.data()};
      return {};
    });
  }

  void visit(const TensorSpec& spec, PackedMatrix& weight) override {
    if (weight.n_out() > 0) return;  // bound already
    run(spec, [&](const GgufTensor& tensor) -> Status {
      LH_RETURN_IF_ERROR(pack(spec, tensor, tensor.data.data(), weight));
      file_.release(tensor);  // the interleaved copy is the one that is read from now on
      return {};
    });
  }

  void visit(const TensorSpec& spec, std::vector<PackedMatrix>& weights) override {
    run(spec, [&](const GgufTensor& tensor) -> Status {
      weights.resize(spec.n_experts);
      const size_t n_bytes = tensor.data.size() / spec.n_experts;
      for (size_t i = 0; i < spec.n_experts; ++i) {
        LH_RETURN_IF_ERROR(pack(spec, tensor, tensor.data.data() + i * n_bytes, weights[i]));
      }
      file_.release(tensor);
      return {};
    });
  }

  void visit(const TensorSpec& spec, AlignedBuffer<float>& weight) override {
    run(spec, [&](const GgufTensor& tensor) -> Status {
      weight = AlignedBuffer<float>(spec.n_out);
      find_quant(tensor.type())->dequantize(tensor.data.data(), weight.data(), spec.n_out);
      return {};
    });
  }

 private:
  void run(const TensorSpec& spec, FunctionRef<Status(const GgufTensor&)> bind) {
    if (!status_) return;
    const Result<const GgufTensor*> tensor = find(spec);
    status_ = tensor ? bind(**tensor) : Status(tl::unexpected<Error>(tensor.error()));
  }

  Result<const GgufTensor*> find(const TensorSpec& spec) {
    const GgufTensor* tensor = find_tensor(file_, spec);
    if (tensor == nullptr) {
      return bad_input("{}: tensor '{}' is missing", file_.path(),
                       spec.alternative.empty() ? spec.name : spec.alternative);
    }
    if (tensor->shape != spec.shape()) {
      return bad_input("{}: tensor '{}': expected shape [{}], found [{}]", file_.path(),
                       tensor->name, fmt::join(spec.shape(), ", "), fmt::join(tensor->shape, ", "));
    }
    if (find_quant(tensor->type()) == nullptr) {
      std::vector<std::string_view> names;
      for (const QuantTraits& traits : all_quants())
        names.push_back(tensor_type_info(traits.type).name);
      return unsupported("{}: tensor '{}' has type {} (id {}); supported: {}", file_.path(),
                         tensor->name, find_tensor_type(tensor->type_id)->name, tensor->type_id,
                         fmt::join(names, ", "));
    }
    used_.insert(tensor->name);
    return tensor;
  }

  Status pack(const TensorSpec& spec, const GgufTensor& tensor, const std::byte* rows,
              PackedMatrix& out) {
    LH_ASSIGN_OR_RETURN(
        out, PackedMatrix::pack(tensor.type(), rows, spec.n_out, spec.n_in, pool_, memory_));
    memory_ = memory_.subspan(std::min(memory_.size(), out.bytes()));
    return {};
  }

  const GgufFile& file_;
  ThreadPool& pool_;
  std::span<std::byte> memory_;  // what is left of it
  std::set<std::string, std::less<>> used_;
  Status status_;
};

void visit_layer(const ModelPlan& plan, size_t index, LayerWeights& weights,
                 TensorVisitor& visitor) {
  const LayerSpec& layer = plan.layers[index];
  const std::string prefix = fmt::format("blk.{}.", index);
  visitor.vector(prefix + "attn_norm.weight", plan.d_model, weights.mixer_norm);
  std::visit(
      [&](const auto& spec) {
        using Weights = WeightsOf<std::decay_t<decltype(spec)>>;
        visit_tensors(spec, plan.d_model, prefix, std::get<Weights>(weights.mixer), visitor);
      },
      layer.mixer);
  if (layer.post_norms) {
    visitor.vector(prefix + "post_attention_norm.weight", plan.d_model, weights.mixer_post_norm);
  }
  visitor.vector(prefix + "ffn_norm.weight", plan.d_model, weights.ffn_norm);
  std::visit(
      [&](const auto& spec) {
        using Weights = WeightsOf<std::decay_t<decltype(spec)>>;
        visit_tensors(spec, plan.d_model, prefix, std::get<Weights>(weights.ffn), visitor);
      },
      layer.ffn);
  if (layer.post_norms) {
    visitor.vector(prefix + "post_ffw_norm.weight", plan.d_model, weights.ffn_post_norm);
  }
}

// A file without an output matrix uses the embedding for it.
void visit_output(const ModelPlan& plan, ModelWeights& weights, TensorVisitor& visitor) {
  visitor.matrix("output.weight", plan.vocab_size, plan.d_model, weights.output,
                 "token_embd.weight");
}

}  // namespace

ModelWeights::ModelWeights(const ModelPlan& plan) : layers(plan.layers.size()) {
  for (size_t i = 0; i < layers.size(); ++i) {
    std::visit(
        [&](const auto& spec) { layers[i].mixer = WeightsOf<std::decay_t<decltype(spec)>>(); },
        plan.layers[i].mixer);
    std::visit([&](const auto& spec) { layers[i].ffn = WeightsOf<std::decay_t<decltype(spec)>>(); },
               plan.layers[i].ffn);
  }
}

void visit_tensors(const ModelPlan& plan, ModelWeights& weights, TensorVisitor& visitor) {
  visitor.table("token_embd.weight", plan.vocab_size, plan.d_model, weights.embedding);
  for (size_t i = 0; i < plan.layers.size(); ++i) visit_layer(plan, i, weights.layers[i], visitor);
  visitor.vector("output_norm.weight", plan.d_model, weights.output_norm);
  visit_output(plan, weights, visitor);
  for (const RopeConfig& rope : plan.ropes) {
    if (!rope.has_factors) continue;
    visitor.vector("rope_freqs.weight", rope.dim / 2, weights.rope_factors);
    break;
  }
}

Result<ModelWeights> bind_weights(const GgufFile& file, const ModelPlan& plan, ThreadPool& pool) {
  ModelWeights weights(plan);
  weights.memory = PageRegion::reserve(weight_bytes(plan, file).packed);
  Binder binder(file, pool, weights.memory.bytes());
  // The largest matrix first: while a tensor is interleaved, its mapped original is in memory too.
  visit_output(plan, weights, binder);
  visit_tensors(plan, weights, binder);
  LH_RETURN_IF_ERROR(binder.status());
  const auto factors = weights.rope_factors.span();
  if (std::any_of(factors.begin(), factors.end(), [](float f) { return !(f > 0.0F); })) {
    return bad_input("{}: tensor 'rope_freqs.weight': expected factors above 0", file.path());
  }
  LH_RETURN_IF_ERROR(binder.refuse_leftovers());
  for (const GgufTensor& tensor : file.tensors()) weights.n_parameters += tensor.n_elements();
  return weights;
}

}  // namespace longhaul
