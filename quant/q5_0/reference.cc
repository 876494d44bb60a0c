#include "quant/blocks.h"
#include "quant/fit.h"
#include "quant/half.h"
#include "quant/q5_0/format.h"

namespace longhaul::quant::q5_0 {
namespace {

void decode(const Block& block, float* out) {
  uint8_t q[kBlockLen];
  unpack_nibbles(block.q, q);
  unpack_fifth_bits(block.high, q);
  const float scale = f16_to_f32(block.scale);
  for (size_t i = 0; i < kBlockLen; ++i) out[i] = scale * static_cast<float>(q[i] - kZero);
}

Block encode(const float* x) {
  Block block;
  block.scale = f32_to_f16(fit_scale({x, kBlockLen}, -kZero, kZero - 1));
  const float scale = f16_to_f32(block.scale);
  uint8_t q[kBlockLen];
  for (size_t i = 0; i < kBlockLen; ++i) {
    q[i] =
        static_cast<uint8_t>(kZero + round_clamped(divide_or_zero(x[i], scale), -kZero, kZero - 1));
  }
  pack_nibbles(q, block.q);
  pack_fifth_bits(q, block.high);
  return block;
}

}  // namespace

void dequantize(const std::byte* src, float* dst, size_t n_elements) {
  decode_blocks<Block, kBlockLen>(src, dst, n_elements, decode);
}

void quantize(const float* src, std::byte* dst, size_t n_elements) {
  encode_blocks<Block, kBlockLen>(src, dst, n_elements, encode);
}

}  // namespace longhaul::quant::q5_0
