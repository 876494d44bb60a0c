// Scales for the encoders, chosen by least squares: a few roundings near the plain one are tried,
// for each the best scale is solved for, and the pair with the smallest squared error wins. So the
// error never exceeds that of the plain choice (the largest value on the last level), which is what
// the tests' bounds rest on.
#pragma once

#include <span>

namespace longhaul::quant {

// The scale s for x ~ s * q with integers q in [low, high], low < 0 < high. May be negative, so
// that the largest value can use `low`, the longer side.
float fit_scale(std::span<const float> x, int low, int high);

struct Affine {
  float scale;   // at least 0
  float offset;  // x ~ scale * q + offset
};

// The scale and offset for integers q in [0, high]. With `offset_not_positive` the offset is at
// most 0.
Affine fit_affine(std::span<const float> x, int high, bool offset_not_positive);

}  // namespace longhaul::quant
