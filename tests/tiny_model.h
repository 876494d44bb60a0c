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

// n pseudo-random byte tokens.
std::vector<int32_t> random_tokens(size_t n, uint64_t seed);

}  // namespace longhaul
