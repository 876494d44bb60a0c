// Where the numbers of a tile lie (kv_tile.h says how they are stored).
#pragma once

#include <cstddef>

#include "kernels/kv_tile.h"

namespace longhaul {

// Where element `dim` of token `slot` lies, in elements from the start of the tile.
inline size_t k_f16_index(size_t slot, size_t dim) { return dim * kTileTokens + slot; }
inline size_t v_f16_index(size_t slot, size_t dim, size_t head_dim) {
  return slot * head_dim + dim;
}
inline size_t k_q8_index(size_t slot, size_t dim) {
  return (dim / 4 * kTileTokens + slot) * 4 + dim % 4;
}
inline size_t v_q8_index(size_t slot, size_t dim, size_t head_dim) {
  return (slot / 4 * head_dim + dim) * 4 + slot % 4;
}
inline size_t scale_offset(size_t slot, size_t chunk, size_t head_dim) {
  return kTileTokens * head_dim + (chunk * kTileTokens + slot) * 2;
}

}  // namespace longhaul
