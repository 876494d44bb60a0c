#include "cuda/widen.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "quant/blocks.h"
#include "quant/iq4_nl/format.h"
#include "quant/q5_0/format.h"
#include "quant/q8_0/format.h"
#include "quant/registry.h"

namespace longhaul::cuda {
namespace {

using quant::q8_0::Block;

void set_codes(const quant::q5_0::Block& from, int8_t* q) {
  uint8_t codes[32];
  quant::unpack_nibbles(from.q, codes);
  quant::unpack_fifth_bits(from.high, codes);
  for (int i = 0; i < 32; ++i) q[i] = static_cast<int8_t>(codes[i] - quant::q5_0::kZero);
}

void set_codes(const quant::iq4_nl::Block& from, int8_t* q) {
  uint8_t codes[32];
  quant::unpack_nibbles(from.q, codes);
  for (int i = 0; i < 32; ++i) q[i] = quant::iq4_nl::kLevels[codes[i]];
}

template <class From>
WideRows as_q8_0(const std::byte* rows, size_t n_elements) {
  const size_t n_blocks = n_elements / quant::q8_0::kBlockLen;
  WideRows wide{TensorType::kQ8_0, std::vector<std::byte>(n_blocks * sizeof(Block))};
  for (size_t i = 0; i < n_blocks; ++i) {
    From from;
    Block to;
    std::memcpy(&from, rows + i * sizeof(From), sizeof(From));
    to.scale = from.scale;
    set_codes(from, to.q);
    std::memcpy(wide.bytes.data() + i * sizeof(Block), &to, sizeof(Block));
  }
  return wide;
}

WideRows as_f16(TensorType type, const std::byte* rows, size_t n_elements) {
  constexpr size_t kPiece = 1 << 16;  // a whole number of any type's blocks
  const QuantTraits* from = find_quant(type);
  const QuantTraits* to = find_quant(TensorType::kF16);
  LH_CHECK(from != nullptr && to != nullptr);
  const TensorTypeInfo& info = tensor_type_info(type);
  WideRows wide{TensorType::kF16, std::vector<std::byte>(n_elements * 2)};
  std::vector<float> piece(std::min(kPiece, n_elements));
  for (size_t done = 0; done < n_elements; done += kPiece) {
    const size_t n = std::min(kPiece, n_elements - done);
    from->dequantize(rows + done / info.block_len * info.block_bytes, piece.data(), n);
    to->quantize(piece.data(), wide.bytes.data() + done * 2, n);
  }
  return wide;
}

}  // namespace

WideRows widen(TensorType type, const std::byte* rows, size_t n_elements) {
  switch (type) {
    case TensorType::kQ5_0:
      return as_q8_0<quant::q5_0::Block>(rows, n_elements);
    case TensorType::kIQ4_NL:
      return as_q8_0<quant::iq4_nl::Block>(rows, n_elements);
    default:
      return as_f16(type, rows, n_elements);
  }
}

}  // namespace longhaul::cuda
