#include "quant/blocks.h"
#include "quant/half.h"
#include "quant/q8_0/format.h"

namespace longhaul::quant::q8_0 {
namespace {

void decode(const Block& block, float* out) {
  const float scale = f16_to_f32(block.scale);
  for (size_t i = 0; i < kBlockLen; ++i) out[i] = scale * static_cast<float>(block.q[i]);
}

// The largest value takes the last level; at 8 bits nothing better is worth searching for.
Block encode(const float* x) {
  float largest = 0;
  for (size_t i = 0; i < kBlockLen; ++i) largest = std::max(largest, std::abs(x[i]));
  Block block;
  block.scale = f32_to_f16(largest / 127);
  const float scale = f16_to_f32(block.scale);
  for (size_t i = 0; i < kBlockLen; ++i) {
    block.q[i] = static_cast<int8_t>(round_clamped(divide_or_zero(x[i], scale), -127, 127));
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

}  // namespace longhaul::quant::q8_0
