#include "trainer/checkpoint.h"

#include <torch/optim/adamw.h>
#include <torch/serialize.h>

#include <filesystem>
#include <fstream>

#include "trainer/muon.h"

namespace longhaul::trainer {
namespace {

namespace fs = std::filesystem;

// LibTorch reports failures by exceptions; here they become values.
template <class Action>
Status guarded(const std::string& path, Action action) {
  try {
    action();
  } catch (const std::exception& error) {
    const std::string text = error.what();
    return make_error(ErrorCode::kIo, "{}: {}", path, text.substr(0, text.find('\n')));
  }
  return {};
}

}  // namespace

Status save_checkpoint(const std::string& folder, const ModelConfig& config,
                       const TrainState& state, const ModelWeights& weights,
                       const torch::optim::AdamW& adamw, const Muon& muon) {
  const std::string fresh = folder + ".new";
  return guarded(folder, [&] {
    fs::remove_all(fresh);
    fs::create_directories(fresh);
    torch::serialize::OutputArchive archive;
    for (const auto& [name, tensor] : weights.named()) archive.write(name, tensor.detach());
    archive.save_to(fresh + "/weights.pt");
    torch::serialize::OutputArchive moments;
    adamw.save(moments);
    moments.save_to(fresh + "/adamw.pt");
    torch::save(muon.momenta(), fresh + "/muon.pt");
    std::ofstream file(fresh + "/state.json");
    file << nlohmann::json{{"config", config}, {"state", state}}.dump(2) << "\n";
    file.close();
    fs::remove_all(folder);
    fs::rename(fresh, folder);
  });
}

Result<Checkpoint> load_checkpoint(const std::string& folder) {
  Checkpoint checkpoint;
  LH_RETURN_IF_ERROR(guarded(folder, [&] {
    const auto json = nlohmann::json::parse(std::ifstream(folder + "/state.json"));
    json.at("config").get_to(checkpoint.config);
    json.at("state").get_to(checkpoint.state);
    checkpoint.weights = init_weights(checkpoint.config);
    torch::serialize::InputArchive archive;
    archive.load_from(folder + "/weights.pt");
    const torch::NoGradGuard no_grad;
    for (auto& [name, tensor] : checkpoint.weights.named()) {
      torch::Tensor stored;
      archive.read(name, stored);
      tensor.copy_(stored);
    }
  }));
  return checkpoint;
}

Status load_optimizers(const std::string& folder, torch::optim::AdamW& adamw, const Muon& muon) {
  return guarded(folder, [&] {
    torch::serialize::InputArchive archive;
    archive.load_from(folder + "/adamw.pt");
    adamw.load(archive);
    std::vector<torch::Tensor> momenta;
    torch::load(momenta, folder + "/muon.pt");
    for (size_t i = 0; i < momenta.size(); ++i) muon.momenta().at(i).copy_(momenta[i]);
  });
}

}  // namespace longhaul::trainer
