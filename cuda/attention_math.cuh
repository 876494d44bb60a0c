// The arithmetic of attention, one warp and 16 queries at a time. Every kernel calls these, with
// explicit roundings, so that a query has the same bits wherever it is computed.
//
// Roundings: q * scale * log2(e) to f16; K and V are f16; scores, maxima and sums in f32; p to f16
// where it multiplies V, while the sum l takes it unrounded.
#pragma once

#include <cuda_fp16.h>

#include <cmath>
#include <cstdint>

#include "cuda/attention_types.h"
#include "cuda/instructions.h"

namespace longhaul::cuda {

inline constexpr uint32_t kAllLanes = 0xFFFFFFFFU;
inline constexpr float kEmpty = -INFINITY;  // the maximum of no token
inline constexpr float kLargestHalf = 65504.0F;

// Tiles of a group: of 256 dims the accumulators leave registers for two only.
template <int kDim>
inline constexpr int kGroupTiles = kDim <= 128 ? 4 : 2;

// Magnitudes above the largest half become that: an infinite value would turn the zero probability
// of a token into NaN. NaN stays NaN.
__device__ __forceinline__ float bounded(float x) {
  return fabsf(x) > kLargestHalf ? copysignf(kLargestHalf, x) : x;
}

__device__ __forceinline__ uint32_t pack_halves(float low, float high) {
  const __half2 both = __floats2half2_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&both);
}

// Zeros the tokens from `n_tokens` on in a lane's chunk of V: nothing was written there, and zero
// times NaN is NaN.
__device__ __forceinline__ void clear_tokens(uint4& chunk, uint32_t lane, uint32_t n_tokens) {
  const auto mask = [&](uint32_t i) {
    return (v_token(lane, i) < n_tokens ? 0xFFFFU : 0U) |
           (v_token(lane, i + 1) < n_tokens ? 0xFFFF0000U : 0U);
  };
  chunk = {chunk.x & mask(0), chunk.y & mask(2), chunk.z & mask(4), chunk.w & mask(6)};
}

// The 16 queries of a warp as A operands: steps of 16 dims, in the order of kv_layout.h.
template <int kDim>
using Queries = uint32_t[kDim / 16][4];

// Loads query g (half 0) and query g + 8 (half 1) from global memory; null: zeros.
template <int kDim>
__device__ __forceinline__ void load_query(const float* q, uint32_t lane, int half, float scale,
                                           Queries<kDim>& a) {
  const float factor = __fmul_rn(scale, 1.44269504F);  // log2(e)
#pragma unroll
  for (int dims = 0; dims < kDim / static_cast<int>(kKeyDims); ++dims) {
    float x[kChunkHalves] = {};
    if (q != nullptr) {
      const auto* from = reinterpret_cast<const float4*>(q + dims * kKeyDims + lane_dim(lane));
      const float4 low = from[0];
      const float4 high = from[1];
      x[0] = low.x, x[1] = low.y, x[2] = low.z, x[3] = low.w;
      x[4] = high.x, x[5] = high.y, x[6] = high.z, x[7] = high.w;
    }
#pragma unroll
    for (int word = 0; word < 4; ++word) {
      a[dims * 2 + word / 2][word % 2 * 2 + half] = pack_halves(
          bounded(__fmul_rn(x[word * 2], factor)), bounded(__fmul_rn(x[word * 2 + 1], factor)));
    }
  }
}

// Softmax states of 16 queries: a lane has rows g and g + 8; of l only what it added itself.
template <int kDim>
struct WarpState {
  float m[2], l[2];
  float o[kDim / 8][4];

  __device__ __forceinline__ void clear() {
    m[0] = m[1] = kEmpty;
    l[0] = l[1] = 0.0F;
#pragma unroll
    for (auto& x : o) x[0] = x[1] = x[2] = x[3] = 0.0F;
  }
};

// Scores of the tokens of a group: s[8 tokens][row, token].
template <int kDim>
using Scores = float[kGroupTiles<kDim> * 2][4];

// `k`: the K tiles of the group.
template <int kDim>
__device__ __forceinline__ void score_group(const uint4* k, uint32_t lane, const Queries<kDim>& q,
                                            Scores<kDim>& s) {
#pragma unroll
  for (auto& x : s) x[0] = x[1] = x[2] = x[3] = 0.0F;
#pragma unroll
  for (int dims = 0; dims < kDim / static_cast<int>(kKeyDims); ++dims) {
#pragma unroll
    for (int keys = 0; keys < kGroupTiles<kDim> * 2; ++keys) {
      const uint4 b = k[k_chunk(keys, dims, kDim) + lane];  // two groups of 8 keys to a tile
      mma_f16(s[keys], q[dims * 2], {b.x, b.y});
      mma_f16(s[keys], q[dims * 2 + 1], {b.z, b.w});
    }
  }
}

// The tokens that a lane's two rows see.
struct Visible {
  uint32_t first[2], last[2];
};

// Hides what a row does not see. `tiles(i)` gives the number of tile i of the group in the text.
template <int kDim, class Tiles>
__device__ __forceinline__ void hide_tokens(const Tiles& tiles, const Visible& visible,
                                            uint32_t lane, Scores<kDim>& s) {
#pragma unroll
  for (int keys = 0; keys < kGroupTiles<kDim> * 2; ++keys) {
    const uint32_t first = tiles(keys / 2) * kTile + keys % 2 * 8;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const uint32_t token = first + accumulator_column(lane, i % 2);
      if (token < visible.first[i / 2] || token > visible.last[i / 2]) s[keys][i] = kEmpty;
    }
  }
}

// Turns scores into p = 2^(s - m) with the new maximum m and brings the state to it.
template <int kDim>
__device__ __forceinline__ void softmax_group(Scores<kDim>& s, WarpState<kDim>& state) {
  float factor[2];
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    float top = kEmpty;
#pragma unroll
    for (auto& x : s) top = fmaxf(top, fmaxf(x[row * 2], x[row * 2 + 1]));
    top = fmaxf(top, __shfl_xor_sync(kAllLanes, top, 1));
    top = fmaxf(top, __shfl_xor_sync(kAllLanes, top, 2));
    top = fmaxf(top, state.m[row]);
    const float base = top == kEmpty ? 0.0F : top;  // -inf - -inf is NaN
    factor[row] = exp2_fast(__fsub_rn(state.m[row], base));
    float sum = 0.0F;
#pragma unroll
    for (auto& x : s) {
      x[row * 2] = exp2_fast(__fsub_rn(x[row * 2], base));
      x[row * 2 + 1] = exp2_fast(__fsub_rn(x[row * 2 + 1], base));
      sum = __fadd_rn(sum, __fadd_rn(x[row * 2], x[row * 2 + 1]));
    }
    state.l[row] = __fmaf_rn(state.l[row], factor[row], sum);
    state.m[row] = top;
  }
  if (__any_sync(kAllLanes, factor[0] != 1.0F || factor[1] != 1.0F)) {
#pragma unroll
    for (auto& x : state.o) {
      x[0] = __fmul_rn(x[0], factor[0]);
      x[1] = __fmul_rn(x[1], factor[0]);
      x[2] = __fmul_rn(x[2], factor[1]);
      x[3] = __fmul_rn(x[3], factor[1]);
    }
  }
}

// o += p v. `v`: the V tiles of the group.
template <int kDim>
__device__ __forceinline__ void add_values(const uint4* v, uint32_t lane, const Scores<kDim>& p,
                                           WarpState<kDim>& state) {
#pragma unroll
  for (int tile = 0; tile < kGroupTiles<kDim>; ++tile) {
    const auto& low = p[tile * 2];
    const auto& high = p[tile * 2 + 1];
    const uint32_t a[4] = {pack_halves(low[0], low[1]), pack_halves(low[2], low[3]),
                           pack_halves(high[0], high[1]), pack_halves(high[2], high[3])};
#pragma unroll
    for (int dims = 0; dims < kDim / static_cast<int>(kValueDims); ++dims) {
      const uint4 b = v[tile * tile_chunks(kDim) + v_chunk(dims) + lane];
      mma_f16(state.o[dims * 2], a, {b.x, b.y});
      mma_f16(state.o[dims * 2 + 1], a, {b.z, b.w});
    }
  }
}

// The sums of the four lanes of a row, in all of them.
template <int kDim>
__device__ __forceinline__ void join_sums(WarpState<kDim>& state) {
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    float& l = state.l[row];
    l = __fadd_rn(l, __shfl_xor_sync(kAllLanes, l, 1));
    l = __fadd_rn(l, __shfl_xor_sync(kAllLanes, l, 2));
  }
}

// Weights of two states that are merged. The empty one has o = 0 and changes no bit of the other.
struct Weights {
  float into, from;
};
__device__ __forceinline__ Weights merge_maxima(float& into, float from) {
  if (from == kEmpty) return {1.0F, 0.0F};
  const float top = fmaxf(into, from);
  const Weights weights = {exp2_fast(__fsub_rn(into, top)), exp2_fast(__fsub_rn(from, top))};
  into = top;
  return weights;
}
__device__ __forceinline__ float merged(Weights weights, float into, float from) {
  return __fmaf_rn(from, weights.from, __fmul_rn(into, weights.into));
}

// What l must be multiplied with o to give the output; zero for the empty state.
__device__ __forceinline__ float inverse_sum(float l) { return l > 0.0F ? __frcp_rn(l) : 0.0F; }

}  // namespace longhaul::cuda
