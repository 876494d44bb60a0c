// Models with random weights, as GGUF files in memory: the shapes of known models for speed
// measurements (their output means nothing), and tiny ones for tests of what must hold for any
// weights.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/tensor_type.h"
#include "model/tensors.h"

namespace longhaul {

struct RandomModelSpec {
  std::string name = "tiny";
  std::string architecture = "qwen3";
  size_t n_layers = 2;
  size_t n_heads = 4;
  size_t n_kv_heads = 2;
  size_t head_dim = 32;
  size_t d_model = 64;
  size_t d_ff = 96;
  size_t n_experts = 0;         // of d_ff each; 0: none
  size_t n_active_experts = 0;  // of them, for each token
  size_t window = 0;            // of layers with a sliding window; 0: none
  size_t window_period = 6;     // every window_period-th layer has none
  size_t vocab_size = 257;      // 256 bytes, an end token, the rest unused
  size_t context_length = 4096;
  size_t n_shared = 0;       // yoco: upper layers that read one pair of keys and values
  size_t n_self_heads = 0;   // yoco: heads of the lower layers; 0: as the upper ones
  size_t value_dim = 0;      // of a head; 0: what is usual of the architecture
  bool block_causal = true;  // lex
  float rope_theta = 1e5F;
  bool tied = false;                   // no output matrix of its own
  TensorType type = TensorType::kF32;  // of the matrices
  uint64_t seed = 1;
  float attention_gain = 3.0F;  // larger: sharper attention
  float output_gain = 1.0F;     // of what attention adds to the residual stream
  float embedding_gain = 1.0F;  // larger: a tied output says the same token again, more surely
};

// The file's bytes. Error: a row that is not a whole number of the type's blocks, or a type without
// an encoder.
Result<std::vector<std::byte>> make_random_model(const RandomModelSpec& spec);
// The same straight into a file.
Status write_random_model(const RandomModelSpec& spec, const std::string& path);
// What it would be, without making it. Error: a shape that the architecture cannot have.
struct RandomModelPlan {
  ModelPlan plan;
  size_t file_bytes = 0;  // of its tensors
  WeightBytes weights = {};
};
Result<RandomModelPlan> plan_random_model(const RandomModelSpec& spec);

// The shape of a published model by its short name ("qwen3-0.6b"), with matrices of the given type
// ("Q8_0"). Error: lists the known names.
Result<RandomModelSpec> find_shape(std::string_view name, std::string_view type = "Q8_0");
std::vector<std::string_view> shape_names();

}  // namespace longhaul
