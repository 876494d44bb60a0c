#include "trainer/import_gates.h"

#include <ATen/ATen.h>
#include <fmt/ranges.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "trainer/checkpoint.h"
#include "trainer/gate_export.h"
#include "trainer/state_dict.h"

namespace longhaul::trainer {
namespace {

using nlohmann::json;
using torch::Tensor;
using StateDict = std::map<std::string, Tensor>;

// The value of a key, or an error that names file and key.
template <class T>
Result<T> field(const json& config, const std::string& file, const char* key) {
  if (!config.contains(key)) return bad_input("{}: {} is missing", file, key);
  T value{};
  LH_RETURN_IF_ERROR(guarded(file + ": " + key, [&] { config.at(key).get_to(value); }));
  return value;
}

// A field of which only one value can be served.
template <class T>
Status expect(const json& config, const std::string& file, const char* key, const T& expected) {
  LH_ASSIGN_OR_RETURN(const T found, field<T>(config, file, key));
  if (found == expected) return {};
  return unsupported("{}: {}: expected {}, found {}", file, key, json(expected).dump(),
                     json(found).dump());
}

// Reads what the gates are like from config.json; the model's sizes are in `gates` already.
Status read_config(const json& config, const std::string& file, GateConfig& gates) {
  LH_RETURN_IF_ERROR(expect<std::string>(config, file, "seerattn_q_head_pooling_type", "Qproj"));
  LH_RETURN_IF_ERROR(
      expect<std::string>(config, file, "seerattn_k_seq_pooling_type", "Kmaxminavg"));
  if (config.contains("seerattn_start_layer")) {
    LH_RETURN_IF_ERROR(expect<int64_t>(config, file, "seerattn_start_layer", 0));
  }
  LH_ASSIGN_OR_RETURN(gates.block_size, field<int64_t>(config, file, "seerattn_gate_block_size"));
  LH_ASSIGN_OR_RETURN(gates.key_length, field<int64_t>(config, file, "seerattn_gate_hidden_size"));
  LH_ASSIGN_OR_RETURN(gates.qk_norm, field<bool>(config, file, "seerattn_use_qk_norm"));
  LH_ASSIGN_OR_RETURN(gates.rope, field<bool>(config, file, "seerattn_use_rope"));
  return {};
}

// One tensor of the state dict: its name there, its shape, and where it goes.
struct Part {
  std::string name;
  std::vector<int64_t> shape;
  Tensor* to;
};

std::vector<Part> layer_parts(const GateConfig& config, int64_t layer, GateLayer& gate) {
  const auto name = [&](const char* what) {
    return fmt::format("model.layers.{}.self_attn.attn_gate.attngate_{}.weight", layer, what);
  };
  const int64_t d = config.head_dim, h = config.n_kv_heads, dg = config.key_length;
  std::vector<Part> parts{{name("linear_q"), {h, config.n_group(), d, dg}, &gate.wq},
                          {name("linear_k"), {h, 3 * d, dg}, &gate.wk}};
  if (config.qk_norm) {
    parts.push_back({name("qnorm"), {dg}, &gate.q_norm});
    parts.push_back({name("knorm"), {dg}, &gate.k_norm});
  }
  return parts;
}

// Takes the tensors of all parts, which must be all there are.
Status take(const std::string& path, StateDict& tensors, const std::vector<Part>& parts) {
  std::vector<std::string> missing;
  for (const Part& part : parts) {
    const auto found = tensors.find(part.name);
    if (found == tensors.end()) {
      missing.push_back(part.name);
      continue;
    }
    const Tensor& tensor = found->second;
    if (tensor.sizes() != at::IntArrayRef(part.shape) || !tensor.is_floating_point()) {
      return bad_input("{}: tensor {}: expected {} numbers, found {} {}", path, part.name,
                       fmt::join(part.shape, " x "), fmt::join(tensor.sizes(), " x "),
                       tensor.dtype().name());
    }
    *part.to = tensor.to(at::kFloat);
    tensors.erase(found);
  }
  std::vector<std::string> extra;
  for (const auto& [name, tensor] : tensors) extra.push_back(name);
  if (missing.empty() && extra.empty()) return {};
  std::vector<std::string> faults;
  if (!missing.empty()) faults.push_back(fmt::format("missing: {}", fmt::join(missing, ", ")));
  if (!extra.empty()) faults.push_back(fmt::format("not expected: {}", fmt::join(extra, ", ")));
  return bad_input("{}: tensors {}", path, fmt::join(faults, "; "));
}

Result<Gates> read_gates(const std::string& path, const GateConfig& config) {
  LH_ASSIGN_OR_RETURN(StateDict tensors, read_state_dict(path));
  Gates gates(static_cast<size_t>(config.n_layers));
  std::vector<Part> parts;
  for (int64_t i = 0; i < config.n_layers; ++i) {
    for (Part& part : layer_parts(config, i, gates[size_t(i)])) parts.push_back(std::move(part));
  }
  LH_RETURN_IF_ERROR(take(path, tensors, parts));
  for (GateLayer& gate : gates) {
    // Inputs side by side: from [h, g, d, dg] to [h, dg, g * d].
    gate.wq = gate.wq.flatten(1, 2).mT().contiguous();
    gate.wk = gate.wk.mT().contiguous();
  }
  return gates;
}

}  // namespace

Status import_gates(const ImportGatesOptions& options) {
  LH_ASSIGN_OR_RETURN(const TensorType type, gate_type(options.type));
  LH_ASSIGN_OR_RETURN(const GateModel model, GateModel::open(options.model));
  const std::string config_path = options.folder + "/config.json";
  json published;
  LH_RETURN_IF_ERROR(
      guarded(config_path, [&] { published = json::parse(std::ifstream(config_path)); }));
  GateConfig config = gate_config(model.plan);
  LH_RETURN_IF_ERROR(read_config(published, config_path, config));
  LH_ASSIGN_OR_RETURN(const std::string base,
                      field<std::string>(published, config_path, "base_model"));
  LH_ASSIGN_OR_RETURN(const Gates gates,
                      read_gates(options.folder + "/attn_gate_weights.pth", config));
  fmt::print("{} layers of gates, blocks of {}, {} dimensions, made for {}; now for {}\n",
             config.n_layers, config.block_size, config.key_length, base, model.base.name);
  return write_gate_file(to_gate_weights(config, gates, model, base), options.path, type);
}

}  // namespace longhaul::trainer
