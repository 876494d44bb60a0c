#include "trainer/checkpoint.h"

#include <torch/optim/adamw.h>
#include <torch/serialize.h>

#include <filesystem>
#include <fstream>

#include "trainer/muon.h"

namespace longhaul::trainer {
namespace {

namespace fs = std::filesystem;

}  // namespace

Status guarded(const std::string& path, const std::function<void()>& action) {
  try {
    action();
  } catch (const std::exception& error) {
    const std::string text = error.what();
    return make_error(ErrorCode::kIo, "{}: {}", path, text.substr(0, text.find('\n')));
  }
  return {};
}

Status replace_folder(const std::string& folder,
                      const std::function<void(const std::string&)>& write) {
  const std::string fresh = folder + ".new";
  return guarded(folder, [&] {
    fs::remove_all(fresh);
    fs::create_directories(fresh);
    write(fresh);
    fs::remove_all(folder);
    fs::rename(fresh, folder);
  });
}

Status save_checkpoint(const std::string& folder, const ModelConfig& config,
                       const TrainState& state, const ModelWeights& weights,
                       const torch::optim::AdamW& adamw, const Muon& muon) {
  return replace_folder(folder, [&](const std::string& fresh) {
    torch::serialize::OutputArchive archive;
    for (const auto& [name, tensor] : weights.named()) archive.write(name, tensor.detach());
    archive.save_to(fresh + "/weights.pt");
    torch::serialize::OutputArchive moments;
    adamw.save(moments);
    moments.save_to(fresh + "/adamw.pt");
    torch::save(muon.momenta(), fresh + "/muon.pt");
    std::ofstream file(fresh + "/state.json");
    file << nlohmann::json{{"config", config}, {"state", state}}.dump(2) << "\n";
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
