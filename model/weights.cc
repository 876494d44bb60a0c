#include "model/weights.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
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
  Binder(const GgufFile& file, Backend& backend) : file_(file), backend_(backend) {}

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
  void visit(const TensorSpec& spec, EmbeddingPtr& weight) override {
    run(spec, [&](const GgufTensor& tensor) -> Status {
      LH_ASSIGN_OR_RETURN(
          weight, backend_.embedding(tensor.type(), tensor.data.data(), spec.n_out, spec.n_in));
      return {};
    });
  }

  void visit(const TensorSpec& spec, MatrixPtr& weight) override {
    if (weight != nullptr) return;  // bound already
    run(spec, [&](const GgufTensor& tensor) -> Status {
      std::vector<std::byte> copy;
      const std::byte* const rows = rows_of(spec, tensor, copy);
      LH_ASSIGN_OR_RETURN(weight, backend_.matrix(tensor.type(), rows, spec.n_out, spec.n_in));
      file_.release(tensor);  // the backend's copy is the one that is read from now on
      return {};
    });
  }

  void visit(const TensorSpec& spec, std::vector<MatrixPtr>& weights) override {
    run(spec, [&](const GgufTensor& tensor) -> Status {
      weights.resize(spec.n_experts);
      const size_t n_bytes = tensor.data.size() / spec.n_experts;
      for (size_t i = 0; i < spec.n_experts; ++i) {
        LH_ASSIGN_OR_RETURN(
            weights[i], backend_.matrix(tensor.type(), tensor.data.data() + i * n_bytes, spec.n_out,
                                        spec.n_in));
      }
      file_.release(tensor);
      return {};
    });
  }

  void visit(const TensorSpec& spec, Floats& weight) override {
    run(spec, [&](const GgufTensor& tensor) -> Status {
      std::vector<float> all(tensor.n_elements());
      find_quant(tensor.type())->dequantize(tensor.data.data(), all.data(), all.size());
      std::vector<std::byte> copy;
      const std::byte* const rows =
          rows_of(spec, std::as_bytes(std::span(all)), spec.n_in * sizeof(float), copy);
      std::vector<float> numbers(spec.n_out * spec.n_in);
      std::memcpy(numbers.data(), rows, numbers.size() * sizeof(float));
      weight = backend_.floats_of(numbers);
      return {};
    });
  }

 private:
  // The rows of a weight, in order. `copy` holds them where the file has them in another one.
  static const std::byte* rows_of(const TensorSpec& spec, std::span<const std::byte> tensor,
                                  size_t row_bytes, std::vector<std::byte>& copy) {
    const std::byte* const first = tensor.data() + spec.part.first * row_bytes;
    if (spec.part.head_rows == 0) return first;
    const size_t head_bytes = spec.part.head_rows * row_bytes;
    const size_t n_heads = spec.n_out / spec.part.head_rows;
    copy.resize(spec.n_out * row_bytes);
    for (size_t head = 0; head < n_heads; ++head) {
      const size_t from = head % 2 * (n_heads / 2) + head / 2;
      std::memcpy(copy.data() + head * head_bytes, first + from * head_bytes, head_bytes);
    }
    return copy.data();
  }
  static const std::byte* rows_of(const TensorSpec& spec, const GgufTensor& tensor,
                                  std::vector<std::byte>& copy) {
    return rows_of(spec, tensor.data, tensor.data.size() / spec.shape().back(), copy);
  }

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

  const GgufFile& file_;
  Backend& backend_;
  std::set<std::string, std::less<>> used_;
  Status status_;
};

void visit_norm(const ModelPlan& plan, const std::string& name, Floats& weight, Floats& bias,
                TensorVisitor& visitor) {
  visitor.vector(name + ".weight", plan.d_model, weight);
  if (plan.has_layer_norms) visitor.vector(name + ".bias", plan.d_model, bias);
}

void visit_layer(const ModelPlan& plan, size_t index, LayerWeights& weights,
                 TensorVisitor& visitor) {
  const LayerSpec& layer = plan.layers[index];
  const std::string prefix = fmt::format("blk.{}.", index);
  visit_norm(plan, prefix + "attn_norm", weights.mixer_norm, weights.mixer_norm_bias, visitor);
  std::visit(
      [&](const auto& spec) {
        using Weights = WeightsOf<std::decay_t<decltype(spec)>>;
        visit_tensors(spec, plan.d_model, prefix, std::get<Weights>(weights.mixer), visitor);
      },
      layer.mixer);
  if (layer.post_norms) {
    visitor.vector(prefix + "post_attention_norm.weight", plan.d_model, weights.mixer_post_norm);
  }
  visit_norm(plan, prefix + "ffn_norm", weights.ffn_norm, weights.ffn_norm_bias, visitor);
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
  visit_norm(plan, "output_norm", weights.output_norm, weights.output_norm_bias, visitor);
  visit_output(plan, weights, visitor);
  for (const RopeConfig& rope : plan.ropes) {
    if (!rope.has_factors) continue;
    visitor.vector("rope_freqs.weight", rope.dim / 2, weights.rope_factors);
    break;
  }
}

std::vector<float> numbers_of(const Floats& floats, Backend& backend) {
  std::vector<float> numbers(floats.size());
  if (!numbers.empty()) backend.read(floats.rows(1, floats.size()), numbers.data());
  return numbers;
}

Result<ModelWeights> bind_weights(const GgufFile& file, const ModelPlan& plan, Backend& backend) {
  ModelWeights weights(plan);
  backend.reserve_weights(weight_bytes(plan, file).packed);
  Binder binder(file, backend);
  // The largest matrix first: while a tensor is interleaved, its mapped original is in memory too.
  visit_output(plan, weights, binder);
  visit_tensors(plan, weights, binder);
  LH_RETURN_IF_ERROR(binder.status());
  const std::vector<float> factors = numbers_of(weights.rope_factors, backend);
  if (std::any_of(factors.begin(), factors.end(),
                  [](float f) { return !(f > 0.0F) || std::isinf(f); })) {
    return bad_input("{}: tensor 'rope_freqs.weight': expected finite factors above 0",
                     file.path());
  }
  LH_RETURN_IF_ERROR(binder.refuse_leftovers());
  for (size_t i = 0; i < plan.layers.size(); ++i) {
    const auto* attention = std::get_if<AttentionSpec>(&plan.layers[i].mixer);
    if (attention != nullptr)
      settle_lambda(*attention, std::get<AttentionWeights>(weights.layers[i].mixer), backend);
  }
  for (const GgufTensor& tensor : file.tensors()) weights.n_parameters += tensor.n_elements();
  return weights;
}

}  // namespace longhaul
