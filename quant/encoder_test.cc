// The encoders against plain ones, which put the largest value of a block on the last level: what the
// search over scales gains.
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <random>

#include "quant/half.h"
#include "quant/iq4_nl/format.h"
#include "quant/test_util.h"

namespace longhaul::quant {
namespace {

using Values = std::vector<float>;
using Run = std::span<const float>;

float stored(float scale) { return f16_to_f32(f32_to_f16(scale)); }

float largest(Run x) {
  return *std::max_element(x.begin(), x.end(),
                           [](float a, float b) { return std::abs(a) < std::abs(b); });
}

// x ~ scale * q, q from low to high, the largest value on `low`.
void plain_scaled(Run x, float low, float high, float scale, float* out) {
  for (size_t i = 0; i < x.size(); ++i)
    out[i] = scale == 0 ? 0 : scale * std::clamp(std::round(x[i] / scale), low, high);
}

void plain_affine(Run x, float high, float scale, float offset, float* out) {
  for (size_t i = 0; i < x.size(); ++i) {
    const float q = scale == 0 ? 0 : std::clamp(std::round((x[i] - offset) / scale), 0.0F, high);
    out[i] = scale * q + offset;
  }
}

Values in_runs(const Values& x, size_t length, const std::function<void(Run, float*)>& encode) {
  Values out(x.size());
  for (size_t at = 0; at < x.size(); at += length)
    encode(Run(x).subspan(at, length), out.data() + at);
  return out;
}

Values scaled_blocks(const Values& x, float low, float high) {
  return in_runs(x, 32, [=](Run run, float* out) {
    plain_scaled(run, low, high, stored(largest(run) / low), out);
  });
}

Values affine_blocks(const Values& x, float high) {
  return in_runs(x, 32, [=](Run run, float* out) {
    const auto [least, most] = std::minmax_element(run.begin(), run.end());
    plain_affine(run, high, stored((*most - *least) / high), stored(*least), out);
  });
}

// Q4_K and Q5_K: scales and offsets of 32 values in units of 1/63 of the largest of a block.
Values affine_runs(const Values& x, float high) {
  return in_runs(x, 256, [=](Run block, float* out) {
    float scales[8], offsets[8];
    for (size_t r = 0; r < 8; ++r) {
      const auto [least, most] =
          std::minmax_element(block.begin() + 32 * r, block.begin() + 32 * (r + 1));
      offsets[r] = std::max(0.0F, -*least);
      scales[r] = (*most + offsets[r]) / high;
    }
    const float scale_unit = stored(*std::max_element(scales, scales + 8) / 63);
    const float offset_unit = stored(*std::max_element(offsets, offsets + 8) / 63);
    for (size_t r = 0; r < 8; ++r) {
      plain_affine(block.subspan(32 * r, 32), high, scale_unit * std::round(scales[r] / scale_unit),
                   -offset_unit * std::round(offsets[r] / offset_unit), out + 32 * r);
    }
  });
}

Values scaled_runs(const Values& x) {  // Q6_K
  return in_runs(x, 256, [](Run block, float* out) {
    float scales[16], most = 0;
    for (size_t r = 0; r < 16; ++r) {
      scales[r] = largest(block.subspan(16 * r, 16)) / -32;
      most = std::max(most, std::abs(scales[r]));
    }
    const float unit = stored(most / 127);
    for (size_t r = 0; r < 16; ++r)
      plain_scaled(block.subspan(16 * r, 16), -32, 31, unit * std::round(scales[r] / unit),
                   out + 16 * r);
  });
}

Values levels(const Values& x) {  // IQ4_NL
  return in_runs(x, 32, [](Run run, float* out) {
    const float scale = stored(largest(run) / iq4_nl::kLevels[0]);
    for (size_t i = 0; i < run.size(); ++i) {
      float best = scale * iq4_nl::kLevels[0];
      for (const auto level : iq4_nl::kLevels) {
        const float value = scale * static_cast<float>(level);
        if (std::abs(value - run[i]) < std::abs(best - run[i])) best = value;
      }
      out[i] = best;
    }
  });
}

struct Plain {
  TensorType type;
  double at_most;  // of the plain encoder's error that ours may have, on normal values
  std::function<Values(const Values&)> encode;
};

// Q8_0 rounds plainly. The others: what the search was found to leave, and one to two hundredths more.
const Plain kPlain[] = {
    {TensorType::kQ8_0, 1.0, [](const Values& x) { return scaled_blocks(x, -127, 127); }},
    {TensorType::kQ4_0, 0.95, [](const Values& x) { return scaled_blocks(x, -8, 7); }},
    {TensorType::kQ4_1, 0.91, [](const Values& x) { return affine_blocks(x, 15); }},
    {TensorType::kQ5_0, 0.95, [](const Values& x) { return scaled_blocks(x, -16, 15); }},
    {TensorType::kQ5_1, 0.91, [](const Values& x) { return affine_blocks(x, 31); }},
    {TensorType::kIQ4_NL, 0.94, levels},
    {TensorType::kQ4_K, 0.93, [](const Values& x) { return affine_runs(x, 15); }},
    {TensorType::kQ5_K, 0.96, [](const Values& x) { return affine_runs(x, 31); }},
    {TensorType::kQ6_K, 0.94, scaled_runs},
};

TEST(Encoders, AreNearerThanPlainRounding) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  Values x(256 * 64);
  for (float& value : x) value = normal(random);
  for (const Plain& plain : kPlain) {
    const double ours = rms_error(x, roundtrip(plain.type, x));
    const double plainly = rms_error(x, plain.encode(x));
    RecordProperty(std::string(tensor_type_info(plain.type).name), std::to_string(ours / plainly));
    EXPECT_LE(ours, plain.at_most * plainly)
        << tensor_type_info(plain.type).name << ": " << ours / plainly;
  }
}

}  // namespace
}  // namespace longhaul::quant
