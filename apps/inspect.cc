#include <fmt/format.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/model_memory.h"
#include "apps/options.h"
#include "apps/output.h"
#include "apps/table.h"
#include "base/result.h"
#include "io/gate_file.h"
#include "model/rope.h"

namespace longhaul {
namespace {

struct InspectArguments {
  std::string path;
  size_t block_size = 16;
  bool json = false;
};

struct TypeTotal {
  size_t n_tensors = 0;
  size_t n_elements = 0;
  size_t n_bytes = 0;
};

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

// "896 x 151936", the fastest-running extent first, as in the file.
std::string shape_text(const GgufTensor& tensor) {
  std::string text;
  for (const uint64_t extent : tensor.shape)
    text += fmt::format("{}{}", text.empty() ? "" : " x ", extent);
  return text;
}

// "32K" where that is exact, "40960" otherwise.
std::string length_text(size_t n_tokens) {
  if (n_tokens >= 1 << 20 && n_tokens % (1 << 20) == 0) return fmt::format("{}M", n_tokens >> 20);
  if (n_tokens >= 1 << 10 && n_tokens % (1 << 10) == 0) return fmt::format("{}K", n_tokens >> 10);
  return fmt::format("{}", n_tokens);
}

void print_file(const GgufFile& file) {
  fmt::print("{}: GGUF version {}, {} part{}, alignment {}\n\n", file.path(), file.version(),
             file.n_parts(), file.n_parts() == 1 ? "" : "s", file.alignment());
  Table keys({"key", "value"});
  for (const auto& [key, value] : file.metadata()) keys.add({key, describe(value)});
  fmt::print("{}\n", keys.plain());

  Table tensors({"tensor", "shape", "type", ">bytes"});
  for (const GgufTensor& tensor : file.tensors()) {
    tensors.add({tensor.name, shape_text(tensor), std::string(type_name(tensor)),
                 fmt::format("{}", tensor.data.size())});
  }
  fmt::print("{}\n", tensors.plain());

  Table totals({"type", ">tensors", ">elements", ">size"});
  for (const auto& [name, total] : totals_by_type(file)) {
    totals.add({name, fmt::format("{}", total.n_tensors), fmt::format("{}", total.n_elements),
                format_bytes(total.n_bytes)});
  }
  fmt::print("{}\n", totals.plain());
}

std::string ffn_text(const ModelPlan& model) {
  if (const auto* experts = std::get_if<ExpertsSpec>(&model.layers[0].ffn)) {
    return fmt::format("{} of {} experts of {}", experts->n_active, experts->n_experts,
                       experts->each.d_ff);
  }
  return fmt::format("d_ff {}", main_d_ff(model));
}

size_t count_readers(const ModelPlan& model) {
  return static_cast<size_t>(
      std::count_if(model.layers.begin(), model.layers.end(), [](const LayerSpec& layer) {
        const auto* attention = std::get_if<AttentionSpec>(&layer.mixer);
        return attention != nullptr && !attention->writes;
      }));
}

std::string mixer_text(const AttentionSpec& attention) {
  const std::string_view pairs = attention.pairs == HeadPairs::kNone ? "" : " in pairs";
  return fmt::format("{} heads{}, {} KV heads, head size {}", attention.n_heads, pairs,
                     attention.n_kv_heads, attention.key_dim);
}

std::string mixer_text(const RetentionSpec& retention) {
  return fmt::format("{} heads of {}retention, {} by {}", retention.n_heads,
                     retention.is_gated() ? "gated " : "", retention.key_dim, retention.value_dim);
}

// The mixer of the layers that are selected from, or else of the first.
std::string main_mixer_text(const ModelPlan& model) {
  if (const AttentionSpec* attention = main_attention(model)) return mixer_text(*attention);
  return mixer_text(std::get<RetentionSpec>(model.layers.front().mixer));
}

void print_model(const ModelPlan& model) {
  fmt::print("{}: {} layers, {}, d_model {}, {}, context {}\n", model.architecture,
             model.layers.size(), main_mixer_text(model), model.d_model, ffn_text(model),
             length_text(model.context_length));
  for (const SlotSpec& slot : model.slots) {
    if (const auto* recurrent = std::get_if<RecurrentSlot>(&slot)) {
      fmt::print("{} layers keep {} of a text, however long\n", recurrent->n_layers,
                 format_bytes(recurrent->n_floats * sizeof(float)));
    } else if (const auto& paged = std::get<PagedSlot>(slot); paged.window > 0) {
      fmt::print("{} layers see the last {} tokens\n", paged.n_layers, paged.window);
    }
  }
  const size_t n_readers = count_readers(model);
  if (n_readers > 0) fmt::print("{} layers read keys that others wrote\n", n_readers);
  for (const RopeConfig& rope : model.ropes) fmt::print("RoPE: {}\n", describe(rope, rope.dim));
  fmt::print("\n");
}

void print_plan(const MemoryPlan& plan, const ModelPlan& model) {
  Table table({">context", "KV type", ">keys", ">values", ">descriptors", ">weights", ">other",
               ">total", ""});
  for (const CachePlan& cache : plan.caches) {
    const StateBytes& bytes = cache.bytes;
    std::string note;
    if (cache.n_tokens == model.context_length) note = "as trained";
    if (cache.n_tokens > model.context_length) note = "beyond the trained context";
    table.add({length_text(cache.n_tokens), std::string(to_string(cache.type)),
               format_bytes(bytes.keys), format_bytes(bytes.values),
               format_bytes(bytes.summary("outliers")), format_bytes(plan.weight_bytes),
               format_bytes(plan.other_bytes),
               format_bytes(plan.weight_bytes + plan.other_bytes + bytes.total()), note});
  }
  fmt::print("Memory of one session, when its context is full:\n{}", table.plain());
}

nlohmann::ordered_json file_json(const GgufFile& file) {
  nlohmann::ordered_json json = {{"path", file.path()},
                                 {"gguf_version", file.version()},
                                 {"parts", file.n_parts()},
                                 {"alignment", file.alignment()}};
  json["metadata"] = nlohmann::ordered_json::object();
  for (const auto& [key, value] : file.metadata()) json["metadata"][key] = describe(value);
  json["tensors"] = nlohmann::ordered_json::array();
  for (const GgufTensor& tensor : file.tensors()) {
    json["tensors"].push_back({{"name", tensor.name},
                               {"shape", tensor.shape},
                               {"type", type_name(tensor)},
                               {"bytes", tensor.data.size()}});
  }
  json["types"] = nlohmann::ordered_json::object();
  for (const auto& [name, total] : totals_by_type(file)) {
    json["types"][name] = {
        {"tensors", total.n_tensors}, {"elements", total.n_elements}, {"bytes", total.n_bytes}};
  }
  return json;
}

nlohmann::ordered_json model_json(const ModelPlan& model) {
  nlohmann::ordered_json json = {{"architecture", model.architecture},
                                 {"layers", model.layers.size()}};
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
  json["slots"] = nlohmann::ordered_json::array();
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
  nlohmann::ordered_json json = {{"weight_bytes", plan.weight_bytes},
                                 {"other_bytes", plan.other_bytes},
                                 {"contexts", nlohmann::ordered_json::array()}};
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

void print_gates(const GateWeights& gates) {
  const GateBase& base = gates.base;
  fmt::print("gates for {} ({}, {} layers, {} heads, {} KV heads, head size {}, fingerprint {})\n",
             base.name, base.architecture, base.n_layers, base.n_heads, base.n_kv_heads,
             base.head_dim, base.fingerprint);
  fmt::print("blocks of {} tokens, {} dimensions, {}, {}\n", gates.block_size, gates.dim,
             gates.qk_norm ? "normalised" : "not normalised",
             gates.rope ? "rotated" : "not rotated");
  if (!gates.source.empty()) fmt::print("imported from {}\n", gates.source);
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

Result<int> inspect_gates(const GgufFile& file, bool json) {
  LH_ASSIGN_OR_RETURN(const GateWeights gates, read_gates(file));
  if (json) {
    nlohmann::ordered_json document = file_json(file);
    document["gates"] = gates_json(gates);
    print_json(document);
  } else {
    print_file(file);
    print_gates(gates);
  }
  return 0;
}

// Looks at any GGUF file; what the engine cannot run gets the reason in place of the memory plan.
Result<int> inspect(const InspectArguments& arguments) {
  LH_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(arguments.path));
  if (is_gate_file(file)) return inspect_gates(file, arguments.json);
  const Result<ModelPlan> model = read_plan(file);
  if (arguments.json) {
    nlohmann::ordered_json json = file_json(file);
    if (model) {
      json["model"] = model_json(*model);
      json["memory"] = plan_json(plan_memory(file, *model, arguments.block_size));
    } else {
      json["cannot_run"] = model.error().message;
    }
    print_json(json);
    return 0;
  }
  print_file(file);
  if (model) {
    print_model(*model);
    print_plan(plan_memory(file, *model, arguments.block_size), *model);
  } else {
    fmt::print("The engine cannot run this file: {}\n", model.error().message);
  }
  return 0;
}

}  // namespace

void add_inspect(CLI::App& app, CommandBody& chosen) {
  CLI::App& command =
      *app.add_subcommand("inspect", "what is in a GGUF file, and the memory it takes to run it");
  const auto arguments = std::make_shared<InspectArguments>();
  command.add_option("model,-m,--model", arguments->path, "the model, a GGUF file")
      ->required()
      ->check(CLI::ExistingFile)
      ->type_name("FILE");
  add_count(command, "--block-size", arguments->block_size, "tokens per block, for the plan", 4,
            256);
  command.add_flag("--json", arguments->json, "print one JSON document");
  command.callback([&chosen, arguments] { chosen = [arguments] { return inspect(*arguments); }; });
}

}  // namespace longhaul
