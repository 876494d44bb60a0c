#include "apps/inspect_json.h"

#include <nlohmann/json.hpp>

#include "longhaul/engine.h"
#include "model/rope.h"

namespace longhaul {
namespace {

using Json = nlohmann::ordered_json;

// Vocabularies have hundreds of thousands of items, which nobody reads as metadata.
constexpr size_t kMostItems = 64, kFirstItems = 8;

Json to_json(const GgufArray& array) {
  const size_t n_items = array.size() <= kMostItems ? array.size() : kFirstItems;
  const bool is_bool = array.element_type == GgufType::kBool;
  Json items = Json::array();
  std::visit(
      [&](const auto& all) {
        for (size_t i = 0; i < n_items; ++i) items.push_back(all[i]);
      },
      array.items);
  for (Json& item : items) {
    if (is_bool) item = item.get<uint64_t>() != 0;
  }
  if (n_items == array.size()) return items;
  return {{"count", array.size()},
          {"element_type", gguf_type_name(array.element_type)},
          {"first", std::move(items)}};
}

Json to_json(const GgufValue& value) {
  if (const GgufArray* array = value.array()) return to_json(*array);
  if (const auto text = value.to_string()) return *text;
  if (const auto truth = value.to_bool()) return *truth;
  if (const auto natural = value.to_u64()) return *natural;
  if (const auto integer = value.to_i64()) return *integer;
  return value.to_f64().value();
}

}  // namespace

std::string_view type_name(const GgufTensor& tensor) {
  return find_tensor_type(tensor.type_id)->name;
}

std::map<std::string, TypeTotal> totals_by_type(const GgufFile& file) {
  std::map<std::string, TypeTotal> totals;
  for (const GgufTensor& tensor : file.tensors()) {
    TypeTotal& total = totals[std::string(type_name(tensor))];
    ++total.n_tensors;
    total.n_elements += tensor.n_elements();
    total.n_bytes += tensor.data.size();
  }
  return totals;
}

nlohmann::ordered_json file_json(const GgufFile& file) {
  Json json = {{"path", file.path()},
               {"gguf_version", file.version()},
               {"parts", file.n_parts()},
               {"alignment", file.alignment()}};
  json["metadata"] = Json::object();
  for (const auto& [key, value] : file.metadata()) json["metadata"][key] = to_json(value);
  json["tensors"] = Json::array();
  for (const GgufTensor& tensor : file.tensors()) {
    json["tensors"].push_back({{"name", tensor.name},
                               {"shape", tensor.shape},
                               {"type", type_name(tensor)},
                               {"bytes", tensor.data.size()}});
  }
  json["types"] = Json::object();
  for (const auto& [name, total] : totals_by_type(file)) {
    json["types"][name] = {
        {"tensors", total.n_tensors}, {"elements", total.n_elements}, {"bytes", total.n_bytes}};
  }
  return json;
}

nlohmann::ordered_json model_json(const ModelPlan& model) {
  Json json = {{"architecture", model.architecture}, {"layers", model.layers.size()}};
  if (const AttentionSpec* attention = main_attention(model)) {
    json["heads"] = attention->n_heads;
    json["kv_heads"] = attention->n_kv_heads;
    json["head_dim"] = attention->key_dim;
  } else {
    const auto& retention = std::get<RetentionSpec>(model.layers.front().mixer);
    json["heads"] = retention.n_heads;
    json["head_dim"] = retention.key_dim;
  }
  json["d_model"] = model.d_model;
  json["d_ff"] = main_d_ff(model);
  json["context_length"] = model.context_length;
  if (!model.ropes.empty()) json["rope"] = describe(model.ropes[0], model.ropes[0].dim);
  if (const auto* experts = std::get_if<ExpertsSpec>(&model.layers[0].ffn)) {
    json["experts"] = {{"total", experts->n_experts}, {"active", experts->n_active}};
  }
  json["slots"] = Json::array();
  for (const SlotSpec& slot : model.slots) {
    if (const auto* paged = std::get_if<PagedSlot>(&slot)) {
      json["slots"].push_back({{"layers", paged->n_layers}, {"window", paged->window}});
    } else {
      const auto& recurrent = std::get<RecurrentSlot>(slot);
      json["slots"].push_back(
          {{"layers", recurrent.n_layers}, {"state_bytes", recurrent.n_floats * sizeof(float)}});
    }
  }
  return json;
}

nlohmann::ordered_json plan_json(const MemoryPlan& plan) {
  Json json = {{"weight_bytes", plan.weight_bytes},
               {"other_bytes", plan.other_bytes},
               {"contexts", Json::array()}};
  for (const CachePlan& cache : plan.caches) {
    json["contexts"].push_back(
        {{"tokens", cache.n_tokens},
         {"kv_type", to_string(cache.type)},
         {"key_bytes", cache.bytes.keys},
         {"value_bytes", cache.bytes.values},
         {"descriptor_bytes", cache.bytes.summary("outliers")},
         {"total_bytes", plan.weight_bytes + plan.other_bytes + cache.bytes.total()}});
  }
  return json;
}

nlohmann::ordered_json gates_json(const GateWeights& gates) {
  const GateBase& base = gates.base;
  return {{"base_model",
           {{"name", base.name},
            {"architecture", base.architecture},
            {"fingerprint", base.fingerprint},
            {"layers", base.n_layers},
            {"heads", base.n_heads},
            {"kv_heads", base.n_kv_heads},
            {"head_dim", base.head_dim}}},
          {"source", gates.source},
          {"block_size", gates.block_size},
          {"dim", gates.dim},
          {"qk_norm", gates.qk_norm},
          {"rope", gates.rope}};
}

}  // namespace longhaul
