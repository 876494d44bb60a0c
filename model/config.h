// The shape of a decoder-only transformer, as read from a GGUF file. Architectures differ by these
// fields, never by name: code that computes does not know which model it runs.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "io/gguf.h"
#include "kernels/ops.h"

namespace longhaul {

enum class RopeScaling { kNone, kLinear, kYarn };

struct RopeConfig {
  size_t dim = 0;          // how many dimensions of a head are rotated
  double theta = 10000.0;  // base of the frequencies
  RopeLayout layout = RopeLayout::kHalf;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1.0;          // linear, YaRN: by how much the context was stretched
  size_t original_context = 0;  // YaRN: the length before stretching
  double attn_factor = 1.0;     // multiplies cos and sin, whatever the scaling
  double yarn_beta_fast = 32.0;
  double yarn_beta_slow = 1.0;
  double yarn_ext_factor = 1.0;
  bool has_factors = false;  // the file brings one divisor per frequency (Llama 3)
};

struct ModelConfig {
  std::string architecture;
  std::string name;
  size_t n_layers = 0;
  size_t n_heads = 0;
  size_t n_kv_heads = 0;
  size_t head_dim = 0;
  size_t d_model = 0;
  size_t d_ff = 0;
  size_t vocab_size = 0;
  size_t context_length = 0;  // tokens, as trained
  float norm_eps = 1e-5F;
  bool qk_norm = false;   // RMSNorm of every head of q and k before RoPE
  bool qkv_bias = false;  // q, k and v have biases
  RopeConfig rope;

  size_t n_group() const { return n_heads / n_kv_heads; }  // query heads per KV head
  size_t q_dim() const { return n_heads * head_dim; }
  size_t kv_dim() const { return n_kv_heads * head_dim; }
};

// One architecture: the folder model/<name>/.
struct Architecture {
  std::string_view name;  // general.architecture
  // Adds what is special about the architecture to a config read by read_common_config().
  Status (*refine)(const GgufFile& file, ModelConfig& config);
};

// The architecture of that name, or nullptr. The registry is made by CMake from the add_arch()
// lines.
const Architecture* find_architecture(std::string_view name);
std::span<const Architecture* const> all_architectures();

// Reads the configuration of a file of any supported architecture, checked: counts that divide each
// other, sizes the kernels can run, no feature the engine does not have. Errors name the file and
// the key.
Result<ModelConfig> read_model_config(const GgufFile& file);

}  // namespace longhaul
