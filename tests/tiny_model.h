// Small models with random weights, written as GGUF, for tests of everything that must hold for any
// weights.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/tensor_type.h"
#include "io/gguf.h"
#include "io/gguf_writer.h"

namespace longhaul {

struct TinyModelSpec {
  std::string architecture = "qwen3";
  TensorType type = TensorType::kF32;  // of the matrices
  size_t n_layers = 2;
  size_t n_heads = 4;
  size_t n_kv_heads = 2;
  size_t head_dim = 32;
  size_t d_model = 64;
  size_t d_ff = 96;
  size_t n_extra_tokens = 0;  // beside the 256 bytes and the end token
  size_t context_length = 4096;
  uint64_t seed = 1;
  float attention_gain = 3.0F;  // larger: sharper attention
};

// The file's bytes.
std::vector<std::byte> make_tiny_model(const TinyModelSpec& spec);

// The same in a file of its own under the test's temporary folder; returns the path.
std::string write_tiny_model(const TinyModelSpec& spec);

// n pseudo-random byte tokens.
std::vector<int32_t> random_tokens(size_t n, uint64_t seed);

}  // namespace longhaul
