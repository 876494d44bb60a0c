#include "model/rope.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/check.h"

namespace longhaul {
namespace {

// The dimension whose wave makes `n_turns` turns over the original context (YaRN, arXiv 2309.00071,
// equation 17 ff.).
double dim_of_turns(const RopeConfig& rope, double n_turns) {
  const double context = static_cast<double>(rope.original_context);
  return static_cast<double>(rope.dim) * std::log(context / (n_turns * 2.0 * std::numbers::pi)) /
         (2.0 * std::log(rope.theta));
}

// YaRN's ramp over the frequencies: 1 keeps the trained frequency (many turns), 0 interpolates (few
// turns).
std::vector<double> extrapolated_share(const RopeConfig& rope) {
  const double last_dim = static_cast<double>(rope.dim) - 1.0;
  const double low = std::max(0.0, std::floor(dim_of_turns(rope, rope.yarn_beta_fast)));
  const double high = std::min(last_dim, std::ceil(dim_of_turns(rope, rope.yarn_beta_slow)));
  std::vector<double> share(rope.dim / 2);
  for (size_t i = 0; i < share.size(); ++i) {
    const double ramp = (static_cast<double>(i) - low) / std::max(0.001, high - low);
    share[i] = (1.0 - std::clamp(ramp, 0.0, 1.0)) * rope.yarn_ext_factor;
  }
  return share;
}

}  // namespace

RopeTable::RopeTable(const RopeConfig& config, std::span<const float> factors)
    : frequencies_(config.dim / 2) {
  magnitude_ = config.attn_factor;
  LH_CHECK(factors.empty() || factors.size() == frequencies_.size());
  // theta^(-2 i / dim), or so spaced that the last one is 1 / theta.
  const auto n_steps = static_cast<double>(config.inclusive ? config.dim - 2 : config.dim);
  for (size_t i = 0; i < frequencies_.size(); ++i) {
    frequencies_[i] = std::pow(config.theta, -2.0 * static_cast<double>(i) / n_steps);
    if (!factors.empty()) frequencies_[i] /= static_cast<double>(factors[i]);
  }
  if (config.scaling == RopeScaling::kLinear) {
    for (double& frequency : frequencies_) frequency /= config.factor;
  }
  if (config.scaling == RopeScaling::kYarn) {
    const std::vector<double> share = extrapolated_share(config);
    for (size_t i = 0; i < frequencies_.size(); ++i) {
      frequencies_[i] *= share[i] + (1.0 - share[i]) / config.factor;
    }
    if (config.yarn_ext_factor != 0.0) magnitude_ *= 1.0 + 0.1 * std::log(config.factor);
  }
}

void RopeTable::angles(size_t pos, float* cos, float* sin) const {
  for (size_t i = 0; i < frequencies_.size(); ++i) {
    // In double: at position 1M a float angle is off by 0.06 radians.
    const double angle = static_cast<double>(pos) * frequencies_[i];
    cos[i] = static_cast<float>(std::cos(angle) * magnitude_);
    sin[i] = static_cast<float>(std::sin(angle) * magnitude_);
  }
}

std::string describe(const RopeConfig& config, size_t head_dim) {
  std::string text =
      fmt::format("theta {}, {} of {} dimensions, {}", config.theta, config.dim, head_dim,
                  config.layout == RopeLayout::kHalf ? "half rotation" : "neighbouring pairs");
  switch (config.scaling) {
    case RopeScaling::kNone:
      break;
    case RopeScaling::kLinear:
      text += fmt::format(", linear x{}", config.factor);
      break;
    case RopeScaling::kYarn:
      text += fmt::format(", YaRN x{} from {} tokens", config.factor, config.original_context);
      break;
  }
  if (config.inclusive) text += ", last frequency 1 / theta";
  if (config.has_factors) text += ", one factor per frequency (Llama 3)";
  return text;
}

}  // namespace longhaul
