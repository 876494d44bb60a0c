// The list of a model's tensors, from its plan: the one place that binding, random models, memory
// plans and tests take names and shapes from.
#pragma once

#include <optional>
#include <vector>

#include "base/function_ref.h"
#include "io/gguf_writer.h"
#include "model/plan.h"
#include "model/tensor_visitor.h"

namespace longhaul {

// In the order of a file. A file holds these and no others; one with an alternative may be missing.
std::vector<TensorSpec> tensors(const ModelPlan& plan);

// The file's tensor of that name or, without one, the alternative; nullptr if it has neither.
const GgufTensor* find_tensor(const GgufFile& file, const TensorSpec& spec);

// Bytes of the packed matrices of a model.
struct WeightBytes {
  size_t packed = 0;     // of all
  size_t per_token = 0;  // that a row is multiplied with: of experts, the active ones
};
WeightBytes weight_bytes(const ModelPlan& plan, const GgufFile& file);
// The same for matrices of the types that type_of() gives; none: not counted.
WeightBytes weight_bytes(const ModelPlan& plan,
                         FunctionRef<std::optional<TensorType>(const TensorSpec&)> type_of);

// The plan of a file that has keys but no tensors yet; `<architecture>.vocab_size` stands for the
// embedding's rows.
Result<ModelPlan> plan_of_keys(const GgufWriter& keys);

}  // namespace longhaul
