#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/inspect_json.h"
#include "apps/model_memory.h"
#include "apps/options.h"
#include "apps/output.h"
#include "apps/table.h"
#include "base/result.h"
#include "io/gate_file.h"
#include "model/rope.h"
#include "model/tensors.h"
#include "tokenizer/tokenizer.h"

namespace longhaul {
namespace {

struct InspectArguments {
  std::string path;
  size_t block_size = 16;
  bool tensors = false;
  bool json = false;
};

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

void print_header(const GgufFile& file) {
  fmt::print("{}: GGUF version {}, {} part{}, alignment {}\n", printable(file.path()),
             file.version(), file.n_parts(), file.n_parts() == 1 ? "" : "s", file.alignment());
}

// The keys and the totals, and the tensors where they are asked for.
void print_contents(const GgufFile& file, bool with_tensors) {
  Table totals({"type", ">tensors", ">elements", ">size"});
  for (const auto& [name, total] : totals_by_type(file)) {
    totals.add({name, fmt::format("{}", total.n_tensors), fmt::format("{}", total.n_elements),
                format_bytes(total.n_bytes)});
  }
  fmt::print("\n{}", totals.plain());
  if (!with_tensors) fmt::print("(--tensors lists them)\n");

  Table keys({"key", "value"});
  for (const auto& [key, value] : file.metadata())
    keys.add({printable(key), printable(describe(value))});
  fmt::print("\n{}", keys.plain());
  if (!with_tensors) return;

  Table tensors({"tensor", "shape", "type", ">bytes"});
  for (const GgufTensor& tensor : file.tensors()) {
    tensors.add({printable(tensor.name), shape_text(tensor), std::string(type_name(tensor)),
                 fmt::format("{}", tensor.data.size())});
  }
  fmt::print("\n{}", tensors.plain());
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
  if (!model.name.empty()) fmt::print("{}: ", printable(model.name));
  fmt::print("{}, {} layers, {}, d_model {}, {}, context {}\n", printable(model.architecture),
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
  fmt::print("\nMemory of one session, when its context is full:\n{}", table.plain());
}

void print_gates(const GateWeights& gates) {
  const GateBase& base = gates.base;
  fmt::print("gates for {} ({}, {} layers, {} heads, {} KV heads, head size {}, fingerprint {})\n",
             printable(base.name), printable(base.architecture), base.n_layers, base.n_heads,
             base.n_kv_heads, base.head_dim, printable(base.fingerprint));
  fmt::print("blocks of {} tokens, {} dimensions, {}, {}\n", gates.block_size, gates.dim,
             gates.qk_norm ? "normalised" : "not normalised",
             gates.rope ? "rotated" : "not rotated");
  if (!gates.source.empty()) fmt::print("imported from {}\n", printable(gates.source));
}

// The plan of a file that the engine runs: it knows the architecture, and the tensors and the
// vocabulary are there.
Result<ModelPlan> runnable_plan(const GgufFile& file) {
  LH_ASSIGN_OR_RETURN(ModelPlan plan, read_plan(file));
  for (const TensorSpec& spec : tensors(plan)) {
    if (find_tensor(file, spec) == nullptr)
      return bad_input("{}: expected a tensor {}, found none", file.path(), spec.name);
  }
  LH_RETURN_IF_ERROR(Tokenizer::load(file));
  return plan;
}

Result<int> inspect_gates(const GgufFile& file, const InspectArguments& arguments) {
  LH_ASSIGN_OR_RETURN(const GateWeights gates, read_gates(file));
  if (arguments.json) {
    nlohmann::ordered_json document = file_json(file);
    document["gates"] = gates_json(gates);
    print_json(document);
  } else {
    print_header(file);
    print_gates(gates);
    print_contents(file, arguments.tensors);
  }
  return 0;
}

void print_document(const GgufFile& file, const Result<ModelPlan>& model, size_t block_size) {
  nlohmann::ordered_json json = file_json(file);
  json["runs"] = model.has_value();
  if (model) {
    json["model"] = model_json(*model);
    json["memory"] = plan_json(plan_memory(file, *model, block_size));
  } else {
    json["cannot_run"] = model.error().message;
  }
  print_json(json);
}

// Looks at any GGUF file; what the engine cannot run gets the reason in place of the memory plan.
Result<int> inspect(const InspectArguments& arguments) {
  constexpr int kCannotRun = 1;
  LH_ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(arguments.path));
  if (is_gate_file(file)) return inspect_gates(file, arguments);
  const Result<ModelPlan> model = runnable_plan(file);
  if (arguments.json) {
    print_document(file, model, arguments.block_size);
    return model ? 0 : kCannotRun;
  }
  print_header(file);
  if (model) {
    print_model(*model);
    fmt::print("The engine runs it.\n");
    print_plan(plan_memory(file, *model, arguments.block_size), *model);
  } else {
    fmt::print("The engine cannot run it: {}\n", printable(model.error().message));
  }
  print_contents(file, arguments.tensors);
  return model ? 0 : kCannotRun;
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
  command.add_flag("--tensors", arguments->tensors, "list the tensors");
  command.add_flag("--json", arguments->json, "print one JSON document, tensors included");
  command.callback([&chosen, arguments] { chosen = [arguments] { return inspect(*arguments); }; });
}

}  // namespace longhaul
