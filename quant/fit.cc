#include "quant/fit.h"

#include <algorithm>
#include <cmath>

#include "quant/blocks.h"

namespace longhaul::quant {
namespace {

// Roundings tried: the last level is moved by up to this many tenths of a step to either side.
constexpr int kTenths = 9;

float largest_in_size(std::span<const float> x) {
  float largest = 0;
  for (const float value : x) {
    if (std::abs(value) > std::abs(largest)) largest = value;
  }
  return largest;
}

// Sums over a block for one rounding x -> q.
struct Sums {
  double q = 0, qq = 0, x = 0, xq = 0, xx = 0;
};

template <class Round>
Sums sums_for(std::span<const float> x, Round round) {
  Sums sums;
  for (const float value : x) {
    const double q = round(value);
    sums.q += q;
    sums.qq += q * q;
    sums.x += value;
    sums.xq += value * q;
    sums.xx += static_cast<double>(value) * value;
  }
  return sums;
}

struct Candidate {
  double scale = 0;
  double offset = 0;
  double error = 0;  // sum of squares
};

// Solves for the scale, or for scale and offset, that minimise sum((x - scale * q - offset)^2).
Candidate solve(const Sums& sums, double n, bool with_offset, bool offset_not_positive) {
  Candidate best;
  const double determinant = n * sums.qq - sums.q * sums.q;
  if (with_offset && determinant > 0) {
    best.scale = (n * sums.xq - sums.x * sums.q) / determinant;
    best.offset = (sums.x - best.scale * sums.q) / n;
  } else if (with_offset) {  // all q are equal: no slope to find
    best.offset = sums.x / n;
  }
  if (!with_offset || (offset_not_positive && best.offset > 0)) {
    best.offset = 0;
    best.scale = sums.qq > 0 ? sums.xq / sums.qq : 0;
  }
  const double s = best.scale;
  const double o = best.offset;
  best.error =
      sums.xx - 2 * s * sums.xq - 2 * o * sums.x + s * s * sums.qq + 2 * s * o * sums.q + n * o * o;
  return best;
}

}  // namespace

float fit_scale(std::span<const float> x, int low, int high) {
  const float largest = largest_in_size(x);
  if (largest == 0) return 0;
  Candidate best;
  for (int tenth = -kTenths; tenth <= kTenths; ++tenth) {
    const float inverse = (static_cast<float>(low) + 0.1f * static_cast<float>(tenth)) / largest;
    const auto round = [&](float value) { return round_clamped(value * inverse, low, high); };
    const Candidate found = solve(sums_for(x, round), static_cast<double>(x.size()), false, false);
    if (tenth == -kTenths || found.error < best.error) best = found;
  }
  return static_cast<float>(best.scale);
}

Affine fit_affine(std::span<const float> x, int high, bool offset_not_positive) {
  const auto [lowest, highest] = std::minmax_element(x.begin(), x.end());
  const float start = offset_not_positive ? std::min(*lowest, 0.0f) : *lowest;
  const float range = *highest - start;
  if (!(range > 0)) return {0, start};
  Candidate best;
  for (int tenth = -kTenths; tenth <= kTenths; ++tenth) {
    const float inverse = (static_cast<float>(high) + 0.1f * static_cast<float>(tenth)) / range;
    const auto round = [&](float value) {
      return round_clamped((value - start) * inverse, 0, high);
    };
    const Candidate found =
        solve(sums_for(x, round), static_cast<double>(x.size()), true, offset_not_positive);
    if (tenth == -kTenths || found.error < best.error) best = found;
  }
  return {static_cast<float>(best.scale), static_cast<float>(best.offset)};
}

}  // namespace longhaul::quant
