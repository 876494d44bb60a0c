// What one lane of a warp does with a step of weights, for each type: loads it, makes the operands
// of the mma instructions, and adds the sums of a block to its outputs. A lane's outputs of a tile
// and a group are rows g and g + 8 by rows of activations 2t and 2t + 1.
//
// Against quantised weights an output gains, block by block of 32 inputs (Q6_K: run of 16),
//
//   acc = fma(sum of the products of codes, exact; weight's scale * activations' scale; acc)
//   acc = fma(-weight's offset; activations' scale * sum of their codes; acc)      (Q4_K)
#pragma once

#include "cuda/linear_device.h"
#include "cuda/linear_layout.h"

namespace longhaul::cuda {

// How the columns of an instruction, which rows of activations fill, are used: kCols = 2: row r of
// a group is column r, and a lane keeps columns 2t and 2t + 1. kCols = 1, for at most 4 rows: row r
// is column 2r, the odd columns repeat it, and a lane keeps row t alone: half the arithmetic.
template <int kCols>
struct ColumnScales {
  float scale[kCols];
  float sum[kCols];  // scale * sum of the codes
};

// The row of weights (0: g, 1: g + 8) and the column (of kCols) of a lane's output e.
template <int kCols>
LH_DEVICE constexpr int output_row(int e) {
  return e / kCols;
}
template <int kCols>
LH_DEVICE constexpr int output_column(int e) {
  return e % kCols;
}

// Sums start here, so that their bits read as a float are 1.5 * 2^23 + the sum: exact while the sum
// is below 2^22 in size, and a subtraction in place of a conversion.
inline constexpr int32_t kSumStart = 0x4B400000;
LH_DEVICE float sum_of(int32_t bits) {
  return add_rn(float_of(static_cast<uint32_t>(bits)), -12582912.0F);
}

// For few rows it is added later: there the four registers that would hold it are dearer.
template <int kCols>
LH_DEVICE constexpr int32_t start_of_sums() {
  return kCols == 2 ? kSumStart : 0;
}

template <int kCols>
LH_DEVICE void add_block(const int32_t (&d)[4], const float (&row_scale)[2],
                         const ColumnScales<kCols>& x, float (&acc)[2 * kCols]) {
#pragma unroll
  for (int e = 0; e < 2 * kCols; ++e) {
    const float sum = sum_of(kCols == 2 ? d[e] : d[2 * e] + kSumStart);
    const float scale = mul_rn(row_scale[output_row<kCols>(e)], x.scale[output_column<kCols>(e)]);
    acc[e] = fma_rn(sum, scale, acc[e]);
  }
}

struct NoHead {};

// Loads go through Load: from global memory past the cache, or from shared memory.
struct LoadStreaming {
  template <class T>
  LH_DEVICE T operator()(const std::byte* from) const {
    return load_streaming(reinterpret_cast<const T*>(from));
  }
};
struct LoadShared {
  template <class T>
  LH_DEVICE T operator()(const std::byte* from) const {
    return *reinterpret_cast<const T*>(from);
  }
};

// Per type: Head, of a unit, as loaded (so that nothing waits for it before the codes are on their
// way too); Step, of 64 inputs; Block, what one instruction (or one of Q6_K's
// pairs) multiplies.
template <TensorType>
struct LaneFormat;

template <>
struct LaneFormat<TensorType::kQ8_0> {
  using L = Layout<TensorType::kQ8_0>;
  static constexpr int kBlocks = 2;  // of a step
  static constexpr bool kScaled = true;
  using Head = NoHead;
  struct Step {
    uint4 codes[2];
    uint2 scales;
  };
  struct Block {
    uint32_t a[4];
    float scale[2];
  };

  template <class Load>
  static LH_DEVICE Head load_head(const std::byte*, uint32_t, Load) {
    return {};
  }
  template <class Load>
  static LH_DEVICE Step load_step(const std::byte* unit, uint32_t lane, uint32_t s, Load load) {
    const std::byte* codes = unit + s * L::kCodeBytes + lane * 16;
    return {{load.template operator()<uint4>(codes), load.template operator()<uint4>(codes + 512)},
            load.template operator()<uint2>(unit + L::kScales + s * L::kScaleBytes + lane / 4 * 8)};
  }
  static LH_DEVICE Block block(const Step& step, const Head&, int j) {
    const uint4 codes = step.codes[j];
    return {{codes.x, codes.y, codes.z, codes.w},
            {f16_to_float(step.scales.x >> 16 * j & 0xFFFFu),
             f16_to_float(step.scales.y >> 16 * j & 0xFFFFu)}};
  }
  template <int kCols>
  static LH_DEVICE void multiply(const Block& w, uint2 x, const ColumnScales<kCols>& scales,
                                 float (&acc)[2 * kCols]) {
    int32_t d[4];
    mma_s8(d, w.a, x, start_of_sums<kCols>());
    add_block<kCols>(d, w.scale, scales, acc);
  }
};

template <>
struct LaneFormat<TensorType::kQ4_0> {
  using L = Layout<TensorType::kQ4_0>;
  static constexpr int kBlocks = 2;
  static constexpr bool kScaled = true;
  using Head = NoHead;
  struct Step {
    uint4 codes;
    uint2 scales;
  };
  using Block = LaneFormat<TensorType::kQ8_0>::Block;

  template <class Load>
  static LH_DEVICE Head load_head(const std::byte*, uint32_t, Load) {
    return {};
  }
  template <class Load>
  static LH_DEVICE Step load_step(const std::byte* unit, uint32_t lane, uint32_t s, Load load) {
    return {load.template operator()<uint4>(unit + s * L::kCodeBytes + lane * 16),
            load.template operator()<uint2>(unit + L::kScales + s * L::kScaleBytes + lane / 4 * 8)};
  }
  // The codes stay in the high halves of their bytes, 16 times as large.
  static LH_DEVICE Block block(const Step& step, const Head&, int j) {
    const uint32_t first = j == 0 ? step.codes.x : step.codes.z;
    const uint32_t second = j == 0 ? step.codes.y : step.codes.w;
    constexpr uint32_t kHigh = 0xF0F0F0F0u;
    return {{first << 4 & kHigh, first & kHigh, second << 4 & kHigh, second & kHigh},
            {mul_rn(f16_to_float(step.scales.x >> 16 * j & 0xFFFFu), 0.0625F),
             mul_rn(f16_to_float(step.scales.y >> 16 * j & 0xFFFFu), 0.0625F)}};
  }
  template <int kCols>
  static LH_DEVICE void multiply(const Block& w, uint2 x, const ColumnScales<kCols>& scales,
                                 float (&acc)[2 * kCols]) {
    int32_t d[4];
    mma_s8(d, w.a, x, start_of_sums<kCols>());
    add_block<kCols>(d, w.scale, scales, acc);
  }
};

template <>
struct LaneFormat<TensorType::kQ4_K> {
  using L = Layout<TensorType::kQ4_K>;
  static constexpr int kBlocks = 2;
  static constexpr bool kScaled = true;
  using Head = uint2;  // of rows g and g + 8: f16 scale, f16 offset's scale
  struct Step {
    uint4 codes;
    uint2 scales;
  };
  struct Block {
    uint32_t a[4];
    float scale[2];
    float negative_offset[2];
  };

  template <class Load>
  static LH_DEVICE Head load_head(const std::byte* unit, uint32_t lane, Load load) {
    return load.template operator()<uint2>(unit + L::kHead + lane / 4 * 8);
  }
  template <class Load>
  static LH_DEVICE Step load_step(const std::byte* unit, uint32_t lane, uint32_t s, Load load) {
    return {load.template operator()<uint4>(unit + s * L::kCodeBytes + lane * 16),
            load.template operator()<uint2>(unit + L::kScales + s * L::kScaleBytes + lane / 4 * 8)};
  }
  // The products are exact: an f16 times 6 bits.
  static LH_DEVICE Block block(const Step& step, const Head& head, int j) {
    const uint32_t first = j == 0 ? step.codes.x : step.codes.z;
    const uint32_t second = j == 0 ? step.codes.y : step.codes.w;
    constexpr uint32_t kLow = 0x0F0F0F0Fu;
    const uint32_t rows[2] = {step.scales.x, step.scales.y};
    const uint32_t heads[2] = {head.x, head.y};
    Block out = {{first & kLow, first >> 4 & kLow, second & kLow, second >> 4 & kLow}, {}, {}};
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float scale = j == 0 ? byte_above_2_23<0>(rows[r]) : byte_above_2_23<1>(rows[r]);
      const float offset = j == 0 ? byte_above_2_23<2>(rows[r]) : byte_above_2_23<3>(rows[r]);
      out.scale[r] = mul_rn(f16_to_float(heads[r] & 0xFFFFu), add_rn(scale, -8388608.0F));
      out.negative_offset[r] = mul_rn(-f16_to_float(heads[r] >> 16), add_rn(offset, -8388608.0F));
    }
    return out;
  }
  template <int kCols>
  static LH_DEVICE void multiply(const Block& w, uint2 x, const ColumnScales<kCols>& scales,
                                 float (&acc)[2 * kCols]) {
    int32_t d[4];
    mma_s8(d, w.a, x, start_of_sums<kCols>());
    add_block<kCols>(d, w.scale, scales, acc);
#pragma unroll
    for (int e = 0; e < 2 * kCols; ++e) {
      acc[e] = fma_rn(w.negative_offset[output_row<kCols>(e)], scales.sum[output_column<kCols>(e)],
                      acc[e]);
    }
  }
};

template <>
struct LaneFormat<TensorType::kQ6_K> {
  using L = Layout<TensorType::kQ6_K>;
  static constexpr int kBlocks = 2;
  static constexpr bool kScaled = true;
  using Head = uint32_t;  // f16 scales of rows g and g + 8
  struct Step {
    uint4 lows;
    uint2 highs;
    uint2 scales;
  };
  struct Block {
    uint32_t a[4];
    float scale[2][2];  // [run][row]
  };

  template <class Load>
  static LH_DEVICE Head load_head(const std::byte* unit, uint32_t lane, Load load) {
    return load.template operator()<uint32_t>(unit + L::kHead + lane / 4 * 4);
  }
  template <class Load>
  static LH_DEVICE Step load_step(const std::byte* unit, uint32_t lane, uint32_t s, Load load) {
    return {load.template operator()<uint4>(unit + s * L::kCodeBytes + lane * 16),
            load.template operator()<uint2>(unit + L::kHighs + s * L::kHighBytes + lane * 8),
            load.template operator()<uint2>(unit + L::kScales + s * L::kScaleBytes + lane / 4 * 8)};
  }
  // The codes stand in the upper 6 bits of their bytes: signed, and 4 times as large.
  static LH_DEVICE Block block(const Step& step, const Head& head, int j) {
    const uint32_t low[2] = {j == 0 ? step.lows.x : step.lows.z,
                             j == 0 ? step.lows.y : step.lows.w};
    const uint32_t high = j == 0 ? step.highs.x : step.highs.y;
    constexpr uint32_t kLow = 0x3C3C3C3Cu;
    constexpr uint32_t kHigh = 0xC0C0C0C0u;
    const uint32_t rows[2] = {step.scales.x, step.scales.y};
    Block out = {
        {(low[0] << 2 & kLow) | (high << 6 & kHigh), (low[0] >> 2 & kLow) | (high << 4 & kHigh),
         (low[1] << 2 & kLow) | (high << 2 & kHigh), (low[1] >> 2 & kLow) | (high & kHigh)},
        {}};
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float first = j == 0 ? byte_above_2_23<0>(rows[r]) : byte_above_2_23<2>(rows[r]);
      const float second = j == 0 ? byte_above_2_23<1>(rows[r]) : byte_above_2_23<3>(rows[r]);
      const float quarter = mul_rn(f16_to_float(head >> 16 * r & 0xFFFFu), 0.25F);
      out.scale[0][r] = mul_rn(quarter, add_rn(first, -8388736.0F));
      out.scale[1][r] = mul_rn(quarter, add_rn(second, -8388736.0F));
    }
    return out;
  }
  template <int kCols>
  static LH_DEVICE void multiply(const Block& w, uint2 x, const ColumnScales<kCols>& scales,
                                 float (&acc)[2 * kCols]) {
    int32_t d[4];
    mma_s8(d, w.a[0], w.a[1], x.x, start_of_sums<kCols>());
    add_block<kCols>(d, w.scale[0], scales, acc);
    mma_s8(d, w.a[2], w.a[3], x.y, start_of_sums<kCols>());
    add_block<kCols>(d, w.scale[1], scales, acc);
  }
};

// Blocks of 16 inputs; sums stay in the tensor cores' f32, instruction by instruction.
template <>
struct LaneFormat<TensorType::kF16> {
  using L = Layout<TensorType::kF16>;
  static constexpr int kBlocks = 4;
  static constexpr bool kScaled = false;
  using Head = NoHead;
  struct Step {
    uint4 codes[4];
  };
  struct Block {
    uint32_t a[4];
  };

  template <class Load>
  static LH_DEVICE Head load_head(const std::byte*, uint32_t, Load) {
    return {};
  }
  template <class Load>
  static LH_DEVICE Step load_step(const std::byte* unit, uint32_t lane, uint32_t, Load load) {
    const std::byte* codes = unit + lane * 16;
    return {{load.template operator()<uint4>(codes), load.template operator()<uint4>(codes + 512),
             load.template operator()<uint4>(codes + 1024),
             load.template operator()<uint4>(codes + 1536)}};
  }
  static LH_DEVICE Block block(const Step& step, const Head&, int j) {
    return {{step.codes[j].x, step.codes[j].y, step.codes[j].z, step.codes[j].w}};
  }
  template <int kCols>
  static LH_DEVICE void multiply(const Block& w, uint2 x, const ColumnScales<kCols>&,
                                 float (&acc)[2 * kCols]) {
    static_assert(kCols == 2);
    mma_f16(acc, w.a, x);
  }
};

// Multiplies kTiles steps of weights with kGroups groups of activations, whose blocks `x` finds.
template <class F, int kCols, int kTiles, int kGroups, class Source>
LH_DEVICE void multiply_step(const typename F::Step (&w)[kTiles],
                             const typename F::Head (&heads)[kTiles], const Source& x,
                             uint32_t first_block, float (&acc)[kTiles][kGroups][2 * kCols]) {
#pragma unroll
  for (int j = 0; j < F::kBlocks; ++j) {
    typename F::Block blocks[kTiles];
#pragma unroll
    for (int m = 0; m < kTiles; ++m) blocks[m] = F::block(w[m], heads[m], j);
#pragma unroll
    for (int n = 0; n < kGroups; ++n) {
      const uint2 fragment = x.fragment(n, first_block + j);
      ColumnScales<kCols> scales = {};
      if constexpr (F::kScaled) scales = x.scales(n, first_block + j);
#pragma unroll
      for (int m = 0; m < kTiles; ++m)
        F::template multiply<kCols>(blocks[m], fragment, scales, acc[m][n]);
    }
  }
}

}  // namespace longhaul::cuda
