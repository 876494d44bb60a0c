#include "quant/blocks.h"
#include "quant/fit.h"
#include "quant/half.h"
#include "quant/q5_1/format.h"

namespace longhaul::quant::q5_1 {
namespace {

constexpr int kMaxQ = 31;

void decode(const Block& block, float* out) {
  uint8_t q[kBlockLen];
  unpack_nibbles(block.q, q);
  unpack_fifth_bits(block.high, q);
  const float scale = f16_to_f32(block.scale);
  const float offset = f16_to_f32(block.offset);
  for (size_t i = 0; i < kBlockLen; ++i) out[i] = scale * static_cast<float>(q[i]) + offset;
}

Block encode(const float* x) {
  const Affine fit = fit_affine({x, kBlockLen}, kMaxQ, false);
  Block block;
  block.scale = f32_to_f16(fit.scale);
  block.offset = f32_to_f16(fit.offset);
  const float scale = f16_to_f32(block.scale);
  const float offset = f16_to_f32(block.offset);
  uint8_t q[kBlockLen];
  for (size_t i = 0; i < kBlockLen; ++i) {
    q[i] = static_cast<uint8_t>(round_clamped(divide_or_zero(x[i] - offset, scale), 0, kMaxQ));
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

}  // namespace longhaul::quant::q5_1
