// Rotary position embedding: the frequencies of a model, with linear, YaRN or per-frequency scaling
// applied once.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

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
  bool inclusive = false;    // frequencies from 1 to 1 / theta, both included (RetNet, YOCO)
  bool has_factors = false;  // the file brings one divisor per frequency (Llama 3)
};

class RopeTable {
 public:
  // `factors` divide the frequencies one by one (Llama 3's rope_freqs.weight); empty, or config.dim
  // / 2 long.
  RopeTable(const RopeConfig& config, std::span<const float> factors);

  // Writes cos and sin of the angles of one position, times the YaRN magnitude; each config.dim / 2
  // long.
  void angles(size_t pos, float* cos, float* sin) const;

  size_t n_frequencies() const { return frequencies_.size(); }
  std::span<const double> frequencies() const { return frequencies_; }
  double magnitude() const { return magnitude_; }

 private:
  std::vector<double> frequencies_;  // radians per position
  double magnitude_ = 1.0;
};

// The effective set-up in words: "theta 1e6, 64 of 64 dimensions, YaRN x4 from 32768".
std::string describe(const RopeConfig& config, size_t head_dim);

}  // namespace longhaul
