#include "quant/blocks.h"
#include "quant/half.h"
#include "quant/iq4_nl/format.h"

namespace longhaul::quant::iq4_nl {
namespace {

// Scales tried: the one that puts the largest value on the longer end of the table, and some to
// either side.
constexpr int kTries = 9;
constexpr float kTryStep = 0.02f;

// The levels ascend, so the nearest is the number of midpoints below x.
uint8_t nearest_level(float x) {
  int n_below = 0;
  for (size_t q = 0; q + 1 < 16; ++q)
    n_below += 2 * x > static_cast<float>(kLevels[q] + kLevels[q + 1]) ? 1 : 0;
  return static_cast<uint8_t>(n_below);
}

// The scale with the smallest squared error among the tries, each improved by least squares for its
// levels.
float best_scale(const float* x) {
  float largest = 0;
  for (size_t i = 0; i < kBlockLen; ++i) {
    if (std::abs(x[i]) > std::abs(largest)) largest = x[i];
  }
  if (largest == 0) return 0;
  double best_gain = -1;
  double best = 0;
  for (int t = -kTries; t <= kTries; ++t) {
    const float inverse =
        static_cast<float>(kLevels[0]) / largest * (1 + kTryStep * static_cast<float>(t));
    double levels_squared = 0;
    double levels_times_x = 0;
    for (size_t i = 0; i < kBlockLen; ++i) {
      const double level = kLevels[nearest_level(x[i] * inverse)];
      levels_squared += level * level;
      levels_times_x += level * x[i];
    }
    // With the best scale for these levels the squared error is sum(x^2) minus this.
    const double gain = levels_times_x * levels_times_x / levels_squared;
    if (gain > best_gain) {
      best_gain = gain;
      best = levels_times_x / levels_squared;
    }
  }
  return static_cast<float>(best);
}

void decode(const Block& block, float* out) {
  uint8_t q[kBlockLen];
  unpack_nibbles(block.q, q);
  const float scale = f16_to_f32(block.scale);
  for (size_t i = 0; i < kBlockLen; ++i) out[i] = scale * static_cast<float>(kLevels[q[i]]);
}

Block encode(const float* x) {
  Block block;
  block.scale = f32_to_f16(best_scale(x));
  const float scale = f16_to_f32(block.scale);
  uint8_t q[kBlockLen];
  for (size_t i = 0; i < kBlockLen; ++i) q[i] = nearest_level(divide_or_zero(x[i], scale));
  pack_nibbles(q, block.q);
  return block;
}

}  // namespace

void dequantize(const std::byte* src, float* dst, size_t n_elements) {
  decode_blocks<Block, kBlockLen>(src, dst, n_elements, decode);
}

void quantize(const float* src, std::byte* dst, size_t n_elements) {
  encode_blocks<Block, kBlockLen>(src, dst, n_elements, encode);
}

}  // namespace longhaul::quant::iq4_nl
