#include "model/tensors.h"

#include "kernels/linear.h"
#include "model/weights.h"

namespace longhaul {

std::vector<uint64_t> TensorSpec::shape() const {
  const size_t n_rows = part.n_rows > 0 ? part.n_rows : n_out;
  if (kind == TensorKind::kVector) return {n_rows};
  if (kind == TensorKind::kExperts) return {n_in, n_out, n_experts};
  return {n_in, n_rows};
}

void TensorVisitor::table(std::string name, size_t n_out, size_t n_in, EmbeddingPtr& weight) {
  visit({.name = std::move(name), .kind = TensorKind::kTable, .n_out = n_out, .n_in = n_in},
        weight);
}

void TensorVisitor::matrix(std::string name, size_t n_out, size_t n_in, MatrixPtr& weight,
                           std::string alternative) {
  visit({.name = std::move(name),
         .kind = TensorKind::kMatrix,
         .n_out = n_out,
         .n_in = n_in,
         .alternative = std::move(alternative)},
        weight);
}

void TensorVisitor::router(std::string name, size_t n_out, size_t n_in, MatrixPtr& weight) {
  visit({.name = std::move(name),
         .kind = TensorKind::kMatrix,
         .n_out = n_out,
         .n_in = n_in,
         .stays_f32 = true},
        weight);
}

void TensorVisitor::experts(std::string name, size_t n_experts, size_t n_active, size_t n_out,
                            size_t n_in, std::vector<MatrixPtr>& weights) {
  visit({.name = std::move(name),
         .kind = TensorKind::kExperts,
         .n_out = n_out,
         .n_in = n_in,
         .n_experts = n_experts,
         .n_active = n_active},
        weights);
}

void TensorVisitor::vector(std::string name, size_t size, Floats& weight) {
  visit({.name = std::move(name), .kind = TensorKind::kVector, .n_out = size}, weight);
}

void TensorVisitor::numbers(std::string name, size_t n_out, size_t n_in, Floats& weight) {
  visit({.name = std::move(name), .kind = TensorKind::kNumbers, .n_out = n_out, .n_in = n_in},
        weight);
}

void TensorVisitor::matrix_part(std::string name, const TensorPart& part, size_t n_out, size_t n_in,
                                MatrixPtr& weight) {
  visit({.name = std::move(name),
         .kind = TensorKind::kMatrix,
         .n_out = n_out,
         .n_in = n_in,
         .part = part},
        weight);
}

void TensorVisitor::vector_part(std::string name, const TensorPart& part, size_t size,
                                Floats& weight) {
  visit({.name = std::move(name), .kind = TensorKind::kVector, .n_out = size, .part = part},
        weight);
}

namespace {

class Lister : public TensorVisitor {
 public:
  std::vector<TensorSpec> specs;

 protected:
  void visit(const TensorSpec& spec, EmbeddingPtr&) override { specs.push_back(spec); }
  void visit(const TensorSpec& spec, MatrixPtr&) override { specs.push_back(spec); }
  void visit(const TensorSpec& spec, std::vector<MatrixPtr>&) override { specs.push_back(spec); }
  void visit(const TensorSpec& spec, Floats&) override { specs.push_back(spec); }
};

std::vector<TensorSpec> weights_of(const ModelPlan& plan) {
  ModelWeights weights(plan);
  Lister lister;
  visit_tensors(plan, weights, lister);
  return std::move(lister.specs);
}

}  // namespace

// Parts of one tensor are one.
std::vector<TensorSpec> tensors(const ModelPlan& plan) {
  std::vector<TensorSpec> whole;
  for (TensorSpec& spec : weights_of(plan)) {
    if (spec.part.first > 0) continue;
    if (spec.part.n_rows > 0) spec.n_out = spec.part.n_rows;
    spec.part = {};
    whole.push_back(std::move(spec));
  }
  return whole;
}

const GgufTensor* find_tensor(const GgufFile& file, const TensorSpec& spec) {
  const GgufTensor* tensor = file.find_tensor(spec.name);
  if (tensor != nullptr || spec.alternative.empty()) return tensor;
  return file.find_tensor(spec.alternative);
}

WeightBytes weight_bytes(const ModelPlan& plan, const GgufFile& file) {
  return weight_bytes(plan, [&](const TensorSpec& spec) -> std::optional<TensorType> {
    const GgufTensor* tensor = find_tensor(file, spec);
    if (tensor == nullptr) return std::nullopt;  // binding says which is missing
    return tensor->type();
  });
}

WeightBytes weight_bytes(const ModelPlan& plan,
                         FunctionRef<std::optional<TensorType>(const TensorSpec&)> type_of) {
  WeightBytes bytes;
  for (const TensorSpec& spec : weights_of(plan)) {
    if (!spec.is_packed()) continue;
    const std::optional<TensorType> type = type_of(spec);
    if (!type) continue;
    const size_t each = PackedMatrix::packed_bytes(*type, spec.n_out, spec.n_in);
    bytes.packed += spec.n_experts * each;
    bytes.per_token += spec.n_active * each;
  }
  return bytes;
}

Result<ModelPlan> plan_of_keys(const GgufWriter& keys) {
  LH_ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, keys.write_to_memory());
  LH_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::parse(bytes, "keys"));
  return read_plan(file);
}

}  // namespace longhaul
