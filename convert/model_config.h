// What a checkpoint's config.json says of its model, for the families that can be converted, and the
// keys of a GGUF file that say the same.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "convert/json_file.h"
#include "convert/rope_settings.h"
#include "io/gguf_writer.h"

namespace longhaul {

// What SambaY has beside attention.
struct SambaYConfig {
  size_t d_inner = 0, d_state = 0, d_conv = 0, dt_rank = 0;  // of Mamba
};

struct CheckpointConfig {
  std::string architecture;  // general.architecture
  size_t n_layers = 0, d_model = 0, d_ff = 0;
  size_t n_heads = 0, n_kv_heads = 0, head_dim = 0;
  size_t vocab_size = 0;  // rows of the embedding
  size_t context_length = 0;
  double norm_eps = 0;
  bool is_tied = false;  // the embedding makes the logits too
  RopeSettings rope;

  // What distinguishes the families.
  bool has_qkv_bias = false;
  bool has_qk_norm = false;
  bool is_interleaved = false;  // GGUF files have RoPE's pairs side by side: rows of q and k move
  bool is_gemma = false;        // norms around both parts of a layer, stored less 1

  // gemma3: the layers that see `window` tokens, rotated by a base of their own.
  size_t window = 0;
  double window_theta = 10000;
  std::vector<bool> windowed;  // one for each layer; empty otherwise

  // phi4flash: no positions, LayerNorms with biases, windows of `window` in the lower half.
  std::optional<SambaYConfig> sambay;

  // A checkpoint with a vision part, whose tensors are left out.
  bool has_vision = false;
};

// Reads config.json, already parsed. Errors name `file`, the key, what was expected and found: a
// family that cannot be converted, a missing size, and whatever a GGUF file of that family could not
// say (dropped, it would change the computation).
Result<CheckpointConfig> read_model_config(const Json& document, const std::string& file);

// Sets `ARCHITECTURE.*`.
void set_model_keys(const CheckpointConfig& config, GgufWriter& writer);

}  // namespace longhaul
