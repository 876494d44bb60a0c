// Tiny random models as files and bytes, for tests.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/model.h"
#include "model/random_model.h"
#include "model/state_slots.h"

namespace longhaul {

using TinyModelSpec = RandomModelSpec;

// A small spec of each architecture: Gemma 3 with both kinds of layers, experts with several more
// than are active.
TinyModelSpec tiny_spec(const std::string& architecture);

// The file's bytes.
std::vector<std::byte> make_tiny_model(const TinyModelSpec& spec);

// The same in a file of its own under the test's temporary folder; returns the path.
std::string write_tiny_model(const TinyModelSpec& spec);

// Random gates of 32 dimensions for the model of a file, in a file of their own beside it; returns
// the path.
std::string write_tiny_gates(const std::string& model_path, size_t block_size);

// The memory of the states of a loaded model, with the bounds of minmax and random gates of 32
// dimensions.
struct TinyStates {
  std::vector<std::unique_ptr<Summary>> summaries;
  std::unique_ptr<StatePool> pool;
};
TinyStates make_tiny_states(const Model& model, const GgufFile& file, StateOptions options);

// n pseudo-random byte tokens.
std::vector<int32_t> random_tokens(size_t n, uint64_t seed);

}  // namespace longhaul
