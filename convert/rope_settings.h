// What a config.json says of rotary position embedding: `rope_theta` with `rope_scaling`, or the
// `rope_parameters` of newer files.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"
#include "convert/json_file.h"
#include "io/gguf_writer.h"

namespace longhaul {

struct RopeSettings {
  double theta = 10000;
  std::string type = "default";  // default, linear, yarn or llama3
  double factor = 1;
  size_t original_context = 0;  // yarn, llama3: the length before stretching
  double attn_factor = 1;       // yarn: on top of what the factor brings
  double beta_fast = 32, beta_slow = 1;
  double low_freq_factor = 1, high_freq_factor = 4;  // llama3
};

// Reads them. `parameters` is the object with the type and its numbers, nullptr where there is none;
// `context` stands in for an original context that is not named. Error: a type that GGUF readers do
// not have (dynamic, longrope), or numbers that they could not follow.
Result<RopeSettings> read_rope_settings(const JsonFields& config, const Json* parameters,
                                        size_t context);

// Sets `PREFIX.rope.*`.
void set_rope_keys(const RopeSettings& rope, const std::string& prefix, GgufWriter& writer);

// llama3: the divisors of the n_rot / 2 frequencies, which go into a tensor (docs/rope.md).
std::vector<float> llama3_divisors(const RopeSettings& rope, size_t n_rot);

}  // namespace longhaul
