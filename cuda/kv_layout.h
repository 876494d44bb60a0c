// Where the numbers of K and V lie on the device, and in the fragments of mma.m16n8k16. Everything
// here is for the host too, so that tests can walk through a warp's lanes without a card.
//
// A tile of 16 tokens, f16, is laid out in the order in which the lanes of a warp want it: a chunk
// is the 16 bytes of one lane, the 32 chunks of a warp are 512 contiguous bytes. With g = lane / 4
// and t = lane % 4:
//
//   K  [2 groups of 8 keys][dim / 32][lane][8 dims]: key g of the group, dims 8t to 8t + 7 of the 32.
//      The B operands of two steps of 16 dims; the dims of a step are permuted, alike in q.
//   V  [dim / 16][lane][2 groups of 8 dims][4 tokens]: dim g of the group, tokens 2t, 2t + 1,
//      2t + 8, 2t + 9. The B operands of two groups of 8 dims, for all 16 tokens.
//
// The V tile lies right behind the K tile. Block bounds are those of kernels/block_bounds.h, to
// the byte.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/block_bounds.h"
#include "kernels/kv_tile.h"

#if defined(__CUDACC__)
#define LH_HOST_DEVICE __host__ __device__
#else
#define LH_HOST_DEVICE
#endif

namespace longhaul::cuda {

inline constexpr uint32_t kTile = kTileTokens;
inline constexpr uint32_t kWarp = 32;
inline constexpr uint32_t kChunkBytes = 16;  // of one lane
inline constexpr uint32_t kChunkHalves = 8;
inline constexpr uint32_t kKeyDims = 32;    // dimensions of K that the chunks of a warp cover
inline constexpr uint32_t kValueDims = 16;  // likewise of V

// Bytes of the K tile or the V tile of 16 tokens.
LH_HOST_DEVICE constexpr uint32_t tile_bytes(uint32_t dim) { return kTile * dim * 2; }
// Chunks of it.
LH_HOST_DEVICE constexpr uint32_t tile_chunks(uint32_t dim) {
  return tile_bytes(dim) / kChunkBytes;
}

// The first chunk of 8 keys and 32 dims: the lane's own is that many further.
LH_HOST_DEVICE constexpr uint32_t k_chunk(uint32_t keys, uint32_t dims, uint32_t key_dim) {
  return (keys * (key_dim / kKeyDims) + dims) * kWarp;
}
// The first chunk of 16 dims of V.
LH_HOST_DEVICE constexpr uint32_t v_chunk(uint32_t dims) { return dims * kWarp; }

// Where an element of a K tile lies, in halves.
LH_HOST_DEVICE constexpr uint32_t k_offset(uint32_t token, uint32_t dim, uint32_t key_dim) {
  const uint32_t lane = token % 8 * 4 + dim % kKeyDims / kChunkHalves;
  return (k_chunk(token / 8, dim / kKeyDims, key_dim) + lane) * kChunkHalves + dim % kChunkHalves;
}

// Where an element of a V tile lies, in halves.
LH_HOST_DEVICE constexpr uint32_t v_offset(uint32_t token, uint32_t dim) {
  const uint32_t lane = dim % 8 * 4 + token % 8 / 2;
  return (v_chunk(dim / kValueDims) + lane) * kChunkHalves + dim % kValueDims / 8 * 4 +
         token / 8 * 2 + token % 2;
}

// The token, within its tile, of half i in 0 .. 7 of a lane's chunk of V.
LH_HOST_DEVICE constexpr uint32_t v_token(uint32_t lane, uint32_t i) {
  return lane % 4 * 2 + i % 2 + i % 4 / 2 * 8;
}

// Fragments. The accumulators c[4] of a lane: rows accumulator_row(lane, i / 2), columns
// accumulator_column(lane, i % 2).
LH_HOST_DEVICE constexpr uint32_t accumulator_row(uint32_t lane, uint32_t half) {
  return lane / 4 + half * 8;
}
LH_HOST_DEVICE constexpr uint32_t accumulator_column(uint32_t lane, uint32_t j) {
  return lane % 4 * 2 + j;
}

// The first of the 8 consecutive dims, of each 32, that a lane's chunk of K and its part of a query
// hold. Words 0 .. 3 of the 8 halves: b0 and b1 of the first step of 16 dims, then of the second;
// of row g of the queries a0 and a2 of the first, then of the second (a1 and a3 are of row g + 8).
LH_HOST_DEVICE constexpr uint32_t lane_dim(uint32_t lane) { return lane % 4 * kChunkHalves; }

// Block bounds: the offsets of kernels/block_bounds_layout.h.
inline constexpr uint32_t kGroupLanes = kBoundsGroupBlocks;
inline constexpr uint32_t kBoundsRow = kGroupLanes * 4;  // bytes of 4 dimensions of 16 blocks
inline constexpr float kBoundsLargestCode = 15.0F;
inline constexpr int kBoundsRadiusFloor = 5;
inline constexpr float kBoundsLargestOrigin = 127.0F;
inline constexpr float kBoundsLargestKey = 0x1p18F;

LH_HOST_DEVICE constexpr uint32_t centre_step_at(uint32_t lane, uint32_t chunk) {
  return (chunk * 2 * kGroupLanes + lane) * 2;
}
LH_HOST_DEVICE constexpr uint32_t radius_step_at(uint32_t lane, uint32_t chunk) {
  return centre_step_at(lane + kGroupLanes, chunk);
}
LH_HOST_DEVICE constexpr uint32_t origin_step_at(uint32_t chunk, uint32_t dim) {
  return centre_step_at(0, dim / kKeyDims) + chunk * 4;
}
LH_HOST_DEVICE constexpr uint32_t origin_at(uint32_t i, uint32_t dim) {
  return origin_step_at(dim / kKeyDims, dim) + i;
}
LH_HOST_DEVICE constexpr uint32_t codes_at(uint32_t lane, uint32_t i, uint32_t dim) {
  return (origin_at(dim, dim) + kBoundsRow - 1) / kBoundsRow * kBoundsRow + i / 4 * kBoundsRow +
         lane * 4;
}
LH_HOST_DEVICE constexpr uint32_t bounds_bytes(uint32_t dim) { return codes_at(0, dim, dim); }

}  // namespace longhaul::cuda
