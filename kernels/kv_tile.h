// The KV tile: 16 tokens of one (layer, KV head), laid out so that attention needs no horizontal
// sums. K and V have a tile each and may be stored differently; head_dim is a multiple of 32, at
// most kMaxHeadDim. A cache keeps the V tile right behind the K tile of the same tokens.
//
//   K f16    [head_dim][16 tokens] f16
//   K q8_0   [head_dim / 4][16 tokens][4] u8 (int8 + 128), then
//            [head_dim / 32][16 tokens] f16 scales
//   V f16    [16 tokens][head_dim] f16
//   V q8_0   [16 / 4][head_dim][4 tokens] i8, then
//            [head_dim / 32][16 tokens] f16 scales
//
// head_dim is the number of dimensions of a key or of a value; the two may differ. In q8_0 the
// scale of a token and 32 dimensions is amax / 127 rounded to f16, the integer is round(x / that
// scale). A tile of zero bytes is a valid tile of some finite numbers. Attention does not see what
// stands in place of tokens that were never written, be it NaN.
#pragma once

#include <cstddef>

#include "longhaul/options.h"

namespace longhaul {

inline constexpr size_t kTileTokens = 16;
inline constexpr size_t kMaxHeadDim = 256;
inline constexpr size_t kScaleDims = 32;  // dimensions that share a scale in q8_0

// Bytes of one tile, rounded up to a multiple of 64.
inline size_t k_tile_bytes(KvType type, size_t head_dim) {
  const size_t n = kTileTokens * head_dim;
  const size_t n_bytes = type == KvType::kF16 ? n * 2 : n + n / kScaleDims * 2;
  return (n_bytes + 63) / 64 * 64;
}
inline size_t v_tile_bytes(KvType type, size_t head_dim) { return k_tile_bytes(type, head_dim); }

// Writes one token [head_dim] into place `slot` in [0, 16) of a tile; the other tokens keep their
// bytes. Magnitudes above 65504 (f16) become infinite; NaN stays NaN.
void write_k(KvType type, std::byte* tile, size_t slot, const float* k, size_t head_dim);
void write_v(KvType type, std::byte* tile, size_t slot, const float* v, size_t head_dim);

// Reads one token back [head_dim], dequantised to exactly the numbers that attention works with.
void read_k(KvType type, const std::byte* tile, size_t slot, float* k, size_t head_dim);
void read_v(KvType type, const std::byte* tile, size_t slot, float* v, size_t head_dim);

}  // namespace longhaul
