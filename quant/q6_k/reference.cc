#include "quant/blocks.h"
#include "quant/fit.h"
#include "quant/half.h"
#include "quant/q6_k/format.h"

namespace longhaul::quant::q6_k {
namespace {

constexpr size_t kRuns = 16;
constexpr size_t kRunLen = 16;

// Where element i of the block keeps its bits; see format.h.
struct BitPlace {
  size_t low_byte;
  int low_shift;
  size_t high_byte;
  int high_shift;
};

BitPlace place_of(size_t i) {
  const size_t half = i / 128;
  const size_t quarter = i % 128 / 32;
  const size_t in_quarter = i % 32;
  return {64 * half + 32 * (quarter % 2) + in_quarter, quarter < 2 ? 0 : 4, 32 * half + in_quarter,
          static_cast<int>(2 * quarter)};
}

void decode(const Block& block, float* out) {
  const float scale = f16_to_f32(block.scale);
  for (size_t i = 0; i < kBlockLen; ++i) {
    const BitPlace at = place_of(i);
    const int low = block.low[at.low_byte] >> at.low_shift & 0x0f;
    const int high = block.high[at.high_byte] >> at.high_shift & 0x03;
    const float run_scale = scale * static_cast<float>(block.run_scale[i / kRunLen]);
    out[i] = run_scale * static_cast<float>((low | high << 4) - kZero);
  }
}

Block encode(const float* x) {
  float scales[kRuns];
  float largest = 0;
  for (size_t r = 0; r < kRuns; ++r) {
    scales[r] = fit_scale({x + r * kRunLen, kRunLen}, -kZero, kZero - 1);
    largest = std::max(largest, std::abs(scales[r]));
  }
  Block block = {};
  block.scale = f32_to_f16(largest / 127);
  const float scale = f16_to_f32(block.scale);
  for (size_t r = 0; r < kRuns; ++r) {
    block.run_scale[r] =
        static_cast<int8_t>(round_clamped(divide_or_zero(scales[r], scale), -127, 127));
  }
  for (size_t i = 0; i < kBlockLen; ++i) {
    const float run_scale = scale * static_cast<float>(block.run_scale[i / kRunLen]);
    const int q = kZero + round_clamped(divide_or_zero(x[i], run_scale), -kZero, kZero - 1);
    const BitPlace at = place_of(i);
    block.low[at.low_byte] =
        static_cast<uint8_t>(block.low[at.low_byte] | (q & 0x0f) << at.low_shift);
    block.high[at.high_byte] =
        static_cast<uint8_t>(block.high[at.high_byte] | (q >> 4) << at.high_shift);
  }
  return block;
}

}  // namespace

void dequantize(const std::byte* src, float* dst, size_t n_elements) {
  decode_blocks<Block, kBlockLen>(src, dst, n_elements, decode);
}

void quantize(const float* src, std::byte* dst, size_t n_elements) {
  encode_blocks<Block, kBlockLen>(src, dst, n_elements, encode);
}

}  // namespace longhaul::quant::q6_k
