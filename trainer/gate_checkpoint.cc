#include "trainer/gate_checkpoint.h"

#include <ATen/ATen.h>
#include <torch/optim/adamw.h>
#include <torch/serialize.h>

#include <fstream>

#include "trainer/checkpoint.h"

namespace longhaul::trainer {
namespace {

using nlohmann::json;

Status check_identity(const std::string& folder, const json& theirs, const json& ours) {
  for (const auto& [key, value] : ours.items()) {
    const json stored = theirs.value(key, json());
    if (stored == value) continue;
    return bad_input("{}: {}: the checkpoint has {}, this run {}", folder, key, stored.dump(),
                     value.dump());
  }
  return {};
}

}  // namespace

Status save_gate_checkpoint(const std::string& folder, int64_t step, const json& identity,
                            const Gates& gates, const torch::optim::AdamW& adamw) {
  return replace_folder(folder, [&](const std::string& fresh) {
    torch::serialize::OutputArchive archive, moments;
    for (const auto& [name, tensor] : named(gates)) archive.write(name, tensor.detach());
    archive.save_to(fresh + "/gates.pt");
    adamw.save(moments);
    moments.save_to(fresh + "/adamw.pt");
    std::ofstream(fresh + "/state.json") << json{{"step", step}, {"run", identity}}.dump(2) << "\n";
  });
}

Result<int64_t> load_gate_checkpoint(const std::string& folder, const json& identity,
                                     const Gates& gates, torch::optim::AdamW& adamw) {
  json state;
  int64_t step = 0;
  LH_RETURN_IF_ERROR(guarded(folder, [&] {
    state = json::parse(std::ifstream(folder + "/state.json"));
    step = state.at("step");
  }));
  LH_RETURN_IF_ERROR(check_identity(folder, state.value("run", json::object()), identity));
  LH_RETURN_IF_ERROR(guarded(folder, [&] {
    const at::NoGradGuard no_grad;
    torch::serialize::InputArchive archive, moments;
    archive.load_from(folder + "/gates.pt");
    for (auto& [name, tensor] : named(gates)) {
      torch::Tensor stored;
      archive.read(name, stored);
      tensor.copy_(stored);
    }
    moments.load_from(folder + "/adamw.pt");
    adamw.load(moments);
  }));
  return step;
}

}  // namespace longhaul::trainer
