// What `inspect` finds in a file, and the JSON it prints.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "apps/model_memory.h"
#include "io/gate_file.h"
#include "io/gguf.h"
#include "model/plan.h"

namespace longhaul {

struct TypeTotal {
  size_t n_tensors = 0;
  size_t n_elements = 0;
  size_t n_bytes = 0;
};
std::map<std::string, TypeTotal> totals_by_type(const GgufFile& file);

// By its name in the documents of the format: "Q4_K".
std::string_view type_name(const GgufTensor& tensor);

// The keys with their values as JSON has them (of a long array how long it is, and its first
// items), all tensors, and the totals.
nlohmann::ordered_json file_json(const GgufFile& file);
nlohmann::ordered_json model_json(const ModelPlan& model);
nlohmann::ordered_json plan_json(const MemoryPlan& plan);
nlohmann::ordered_json gates_json(const GateWeights& gates);

}  // namespace longhaul
