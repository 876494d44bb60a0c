// A training run on disk: weights, optimiser and counters in one folder, replaced as a whole.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "trainer/model.h"
#include "trainer/vocabulary.h"

namespace torch::optim {
class AdamW;
}

namespace longhaul::trainer {

class Muon;

struct TrainState {
  int64_t step = 0;
  int64_t n_tokens = 0;
  int64_t length = 48;      // present length of the curriculum
  double hop_accuracy = 0;  // moving averages at the present length
  double sum_accuracy = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(TrainState, step, n_tokens, length, hop_accuracy, sum_accuracy)

// LibTorch reports failures by exceptions; here the first line of one becomes an error.
Status guarded(const std::string& path, const std::function<void()>& action);
// Has `write` fill a new folder, which then takes the place of FOLDER.
Status replace_folder(const std::string& folder,
                      const std::function<void(const std::string& fresh)>& write);

// Writes config, state, weights and both optimisers' moments to FOLDER.
Status save_checkpoint(const std::string& folder, const ModelConfig& config,
                       const TrainState& state, const ModelWeights& weights,
                       const torch::optim::AdamW& adamw, const Muon& muon);

struct Checkpoint {
  ModelConfig config;
  TrainState state;
  ModelWeights weights;
};

Result<Checkpoint> load_checkpoint(const std::string& folder);
// Restores the optimisers' moments; their parameters must be those of the checkpoint's model.
Status load_optimizers(const std::string& folder, torch::optim::AdamW& adamw, const Muon& muon);

}  // namespace longhaul::trainer
