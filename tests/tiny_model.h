// Tiny random models as files and bytes, for tests.
#pragma once

#include <string>
#include <vector>

#include "model/random_model.h"

namespace longhaul {

using TinyModelSpec = RandomModelSpec;

// The file's bytes.
std::vector<std::byte> make_tiny_model(const TinyModelSpec& spec);

// The same in a file of its own under the test's temporary folder; returns the path.
std::string write_tiny_model(const TinyModelSpec& spec);

// Random gates of 32 dimensions for the model of a file, in a file of their own beside it; returns
// the path.
std::string write_tiny_gates(const std::string& model_path, size_t block_size);

// n pseudo-random byte tokens.
std::vector<int32_t> random_tokens(size_t n, uint64_t seed);

}  // namespace longhaul
