#include "quant/bf16/format.h"
#include "quant/blocks.h"
#include "quant/half.h"

namespace longhaul::quant::bf16 {
namespace {

void decode(const Block& block, float* out) { *out = bf16_to_f32(block.value); }
Block encode(const float* x) { return {f32_to_bf16(*x)}; }

}  // namespace

void dequantize(const std::byte* src, float* dst, size_t n_elements) {
  decode_blocks<Block, kBlockLen>(src, dst, n_elements, decode);
}

void quantize(const float* src, std::byte* dst, size_t n_elements) {
  encode_blocks<Block, kBlockLen>(src, dst, n_elements, encode);
}

}  // namespace longhaul::quant::bf16
