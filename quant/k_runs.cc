#include "quant/k_runs.h"

#include <algorithm>

#include "quant/blocks.h"
#include "quant/fit.h"
#include "quant/half.h"

namespace longhaul::quant {
namespace {

constexpr int kMaxRunNumber = 63;

// The f16 unit in which the largest of `values` (none negative) is 63, and each value in that unit.
uint16_t quantize_run_numbers(const float values[kRuns], uint8_t numbers[kRuns]) {
  const uint16_t unit = f32_to_f16(*std::max_element(values, values + kRuns) / kMaxRunNumber);
  for (size_t r = 0; r < kRuns; ++r) {
    const float in_units = divide_or_zero(values[r], f16_to_f32(unit));
    numbers[r] = static_cast<uint8_t>(round_clamped(in_units, 0, kMaxRunNumber));
  }
  return unit;
}

}  // namespace

RunNumbers unpack_runs(const uint8_t packed[12]) {
  RunNumbers numbers;
  for (size_t i = 0; i < 4; ++i) {
    numbers.scale[i] = packed[i] & 0x3f;
    numbers.offset[i] = packed[4 + i] & 0x3f;
    numbers.scale[4 + i] = static_cast<uint8_t>((packed[8 + i] & 0x0f) | (packed[i] >> 6) << 4);
    numbers.offset[4 + i] = static_cast<uint8_t>(packed[8 + i] >> 4 | (packed[4 + i] >> 6) << 4);
  }
  return numbers;
}

void pack_runs(const RunNumbers& numbers, uint8_t packed[12]) {
  for (size_t i = 0; i < 4; ++i) {
    packed[i] = static_cast<uint8_t>(numbers.scale[i] | (numbers.scale[4 + i] >> 4) << 6);
    packed[4 + i] = static_cast<uint8_t>(numbers.offset[i] | (numbers.offset[4 + i] >> 4) << 6);
    packed[8 + i] =
        static_cast<uint8_t>((numbers.scale[4 + i] & 0x0f) | (numbers.offset[4 + i] & 0x0f) << 4);
  }
}

EncodedRuns encode_runs(const float* x, int max_q) {
  float scales[kRuns];
  float offsets[kRuns];
  for (size_t r = 0; r < kRuns; ++r) {
    const Affine fit = fit_affine({x + r * kRunLen, kRunLen}, max_q, true);
    scales[r] = fit.scale;
    offsets[r] = -fit.offset;
  }
  EncodedRuns out;
  out.scale = quantize_run_numbers(scales, out.numbers.scale);
  out.offset_scale = quantize_run_numbers(offsets, out.numbers.offset);
  for (size_t r = 0; r < kRuns; ++r) {  // the q that are nearest under the numbers as stored
    const float scale = f16_to_f32(out.scale) * static_cast<float>(out.numbers.scale[r]);
    const float offset = f16_to_f32(out.offset_scale) * static_cast<float>(out.numbers.offset[r]);
    for (size_t i = r * kRunLen; i < (r + 1) * kRunLen; ++i) {
      out.q[i] =
          static_cast<uint8_t>(round_clamped(divide_or_zero(x[i] + offset, scale), 0, max_q));
    }
  }
  return out;
}

void decode_runs(uint16_t scale, uint16_t offset_scale, const RunNumbers& numbers, const uint8_t* q,
                 float* out) {
  for (size_t r = 0; r < kRuns; ++r) {
    const float run_scale = f16_to_f32(scale) * static_cast<float>(numbers.scale[r]);
    const float run_offset = f16_to_f32(offset_scale) * static_cast<float>(numbers.offset[r]);
    for (size_t i = r * kRunLen; i < (r + 1) * kRunLen; ++i) {
      out[i] = run_scale * static_cast<float>(q[i]) - run_offset;
    }
  }
}

void unpack_run_nibbles(const uint8_t packed[128], uint8_t q[256]) {
  for (size_t pair = 0; pair < kRuns / 2; ++pair) {
    for (size_t i = 0; i < kRunLen; ++i) {
      q[64 * pair + i] = packed[32 * pair + i] & 0x0f;
      q[64 * pair + 32 + i] = packed[32 * pair + i] >> 4;
    }
  }
}

void pack_run_nibbles(const uint8_t q[256], uint8_t packed[128]) {
  for (size_t pair = 0; pair < kRuns / 2; ++pair) {
    for (size_t i = 0; i < kRunLen; ++i) {
      packed[32 * pair + i] =
          static_cast<uint8_t>((q[64 * pair + i] & 0x0f) | q[64 * pair + 32 + i] << 4);
    }
  }
}

}  // namespace longhaul::quant
