// The training loop: a curriculum of lengths over tasks and text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "trainer/batch.h"
#include "trainer/model.h"

namespace longhaul::trainer {

struct TrainOptions {
  ModelConfig model;
  std::string out;               // folder of the run: "checkpoint" and "log.txt" go there
  std::string resume;            // a checkpoint to go on from, counters and optimisers included
  std::string from_gguf;         // or: a GGUF file whose weights a fresh run starts from
  int64_t n_tokens = 4'000'000;  // length of the whole run
  int64_t batch_tokens = 4096;
  int64_t first_length = 96;  // doubled whenever look-ups are right often enough
  int64_t max_length = 2048;
  double promote_at = 0.97;     // accuracy of hops, labels and recalled values at which it doubles
  double learning_rate = 2e-3;  // reached after warm-up, falling to zero over the last 30%
  double matrix_rate = 0.02;    // Muon's rate for the matrices of the layers, likewise
  double weight_decay = 0.05;
  double text_weight = 0.5;       // weight of the text loss beside the answers'
  double selection_weight = 0.0;  // weight of the selection loss; see trainer/selection.h
  double selection_from = 0.5;    // hop accuracy at which the selection loss starts
  BatchMix mix;
  uint64_t seed = 1;
};

// Trains and prints a line every 20 steps. `text` is the training text as ids.
Status train(const TrainOptions& options, const Vocabulary& vocabulary, std::vector<int32_t> text);

}  // namespace longhaul::trainer
