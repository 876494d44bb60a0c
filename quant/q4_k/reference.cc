#include "quant/blocks.h"
#include "quant/k_runs.h"
#include "quant/q4_k/format.h"

namespace longhaul::quant::q4_k {
namespace {

void decode(const Block& block, float* out) {
  uint8_t q[kBlockLen];
  unpack_run_nibbles(block.q, q);
  decode_runs(block.scale, block.offset_scale, unpack_runs(block.runs), q, out);
}

Block encode(const float* x) {
  const EncodedRuns runs = encode_runs(x, 15);
  Block block;
  block.scale = runs.scale;
  block.offset_scale = runs.offset_scale;
  pack_runs(runs.numbers, block.runs);
  pack_run_nibbles(runs.q, block.q);
  return block;
}

}  // namespace

void dequantize(const std::byte* src, float* dst, size_t n_elements) {
  decode_blocks<Block, kBlockLen>(src, dst, n_elements, decode);
}

void quantize(const float* src, std::byte* dst, size_t n_elements) {
  encode_blocks<Block, kBlockLen>(src, dst, n_elements, encode);
}

}  // namespace longhaul::quant::q4_k
