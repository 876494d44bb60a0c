#include "quant/blocks.h"
#include "quant/k_runs.h"
#include "quant/q5_k/format.h"

namespace longhaul::quant::q5_k {
namespace {

void decode(const Block& block, float* out) {
  uint8_t q[kBlockLen];
  unpack_run_nibbles(block.q, q);
  for (size_t r = 0; r < kRuns; ++r) {
    for (size_t i = 0; i < kRunLen; ++i) {
      q[r * kRunLen + i] = static_cast<uint8_t>(q[r * kRunLen + i] | (block.high[i] >> r & 1) << 4);
    }
  }
  decode_runs(block.scale, block.offset_scale, unpack_runs(block.runs), q, out);
}

Block encode(const float* x) {
  const EncodedRuns runs = encode_runs(x, 31);
  Block block;
  block.scale = runs.scale;
  block.offset_scale = runs.offset_scale;
  pack_runs(runs.numbers, block.runs);
  pack_run_nibbles(runs.q, block.q);
  for (size_t i = 0; i < kRunLen; ++i) {
    block.high[i] = 0;
    for (size_t r = 0; r < kRuns; ++r) {
      block.high[i] = static_cast<uint8_t>(block.high[i] | (runs.q[r * kRunLen + i] >> 4) << r);
    }
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

}  // namespace longhaul::quant::q5_k
