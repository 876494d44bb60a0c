// How weights and activations lie in the device's memory for the matrix kernels. Plain numbers,
// shared by the host, the kernels and the tests.
//
// The kernels multiply with the tensor cores' mma instructions: 16 output rows (a tile) by 8 rows of
// activations (a group). Both lie in fragment order: what one lane of a warp holds of an
// instruction's operand is contiguous, and the lanes follow one another, so that a warp streams
// whole lines straight into registers. With g = lane / 4 and t = lane % 4, of a block of inputs
//
//   8 bits, 32 inputs   weights: registers 0-3 hold rows g, g+8, g, g+8 and inputs 4t..4t+3 (0, 1)
//                       and 16+4t.. (2, 3); activations: row g, inputs 4t.. (0) and 16+4t.. (1)
//   f16, 16 inputs      the same with inputs 2t, 2t+1 and 8+2t, 8+2t+1
//
// Weights [n_tiles][n_units], a unit being 64 inputs for each of its steps:
//
//   codes    [steps] Q8_0: [2 blocks][32 lanes][4 registers]
//                    4 bits and the low bits of Q6_K: [32 lanes][2 blocks][2 words]; word p holds
//                    register 2p in its low and 2p + 1 in its high nibbles
//                    F16: [4 blocks][32 lanes][4 registers]
//   highs    [steps] Q6_K: [32 lanes][2 blocks], register r in bits 2r and 2r + 1 of each byte
//   scales   [steps][8 g][2 words]: of rows g and g + 8. Q8_0, Q4_0: two f16. Q4_K: the scales of
//                    two runs, then their offsets. Q6_K: the scales of four runs, plus 128
//   head     Q4_K: [8 g][2 words], d and dmin of a row. Q6_K: [8 g], d of rows g and g + 8
//
// Codes of signed types are kept so that a shift and a mask make signed bytes: Q4_0 as q - 8 in
// two's complement, Q6_K with its highest bit flipped. Rows and inputs past the end are zeros.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/tensor_type.h"

#ifdef __CUDACC__
#define LH_HOST_DEVICE __host__ __device__
#else
#define LH_HOST_DEVICE
#endif

namespace longhaul::cuda {

inline constexpr uint32_t kTileRows = 16;
inline constexpr uint32_t kGroupRows = 8;
inline constexpr uint32_t kStepInputs = 64;

// Sums over the inputs are cut in at most this many slices, each summed in ascending order, which
// are then added in ascending order. Where they are cut follows from n_in and the type alone.
inline constexpr uint32_t kMaxSlices = 16;

// Bytes of one step's codes, highs and scales, and of a unit's head.
template <uint32_t steps, uint32_t codes, uint32_t highs, uint32_t scales, uint32_t head>
struct UnitLayout {
  static constexpr uint32_t kSteps = steps;
  static constexpr uint32_t kInputs = steps * kStepInputs;
  static constexpr uint32_t kCodeBytes = codes;
  static constexpr uint32_t kHighBytes = highs;
  static constexpr uint32_t kScaleBytes = scales;
  static constexpr uint32_t kHighs = steps * codes;  // where they start
  static constexpr uint32_t kScales = kHighs + steps * highs;
  static constexpr uint32_t kHead = kScales + steps * scales;
  static constexpr uint32_t kBytes = kHead + head;
  static_assert(kBytes % 16 == 0);
};

template <TensorType>
struct Layout;
template <>
struct Layout<TensorType::kQ8_0> : UnitLayout<2, 1024, 0, 64, 0> {};
template <>
struct Layout<TensorType::kQ4_0> : UnitLayout<2, 512, 0, 64, 0> {};
template <>
struct Layout<TensorType::kQ4_K> : UnitLayout<4, 512, 0, 64, 64> {};
template <>
struct Layout<TensorType::kQ6_K> : UnitLayout<4, 512, 256, 64, 32> {};
template <>
struct Layout<TensorType::kF16> : UnitLayout<1, 2048, 0, 0, 0> {};

// Calls fn.template operator()<type>() for a type that has fragments. False for others.
template <class Function>
constexpr bool with_fragment_type(TensorType type, Function&& fn) {
  switch (type) {
    case TensorType::kQ8_0:
      fn.template operator()<TensorType::kQ8_0>();
      return true;
    case TensorType::kQ4_0:
      fn.template operator()<TensorType::kQ4_0>();
      return true;
    case TensorType::kQ4_K:
      fn.template operator()<TensorType::kQ4_K>();
      return true;
    case TensorType::kQ6_K:
      fn.template operator()<TensorType::kQ6_K>();
      return true;
    case TensorType::kF16:
      fn.template operator()<TensorType::kF16>();
      return true;
    default:
      return false;
  }
}

constexpr LH_HOST_DEVICE uint32_t divide_up(size_t a, size_t b) {
  return static_cast<uint32_t>((a + b - 1) / b);
}

// Units of a slice of a sum over n_units units.
constexpr LH_HOST_DEVICE uint32_t units_per_slice(uint32_t n_units) {
  return divide_up(n_units, kMaxSlices);
}

// Where the 4 rounded activations that start at input 4 * quad of a block of 32 lie, in words from
// the start of the group's block.
constexpr LH_HOST_DEVICE uint32_t q8_word(uint32_t row, uint32_t quad) {
  return row * 8 + quad % 4 * 2 + quad / 4;
}

// The same for the 2 f16 that start at input 2 * pair of a block of 16.
constexpr LH_HOST_DEVICE uint32_t f16_word(uint32_t row, uint32_t pair) {
  return row * 8 + pair % 4 * 2 + pair / 4;
}

// Blocks that a group of activations of n_cols inputs has room for: whole units.
constexpr LH_HOST_DEVICE uint32_t q8_blocks(size_t n_cols) { return divide_up(n_cols, 128) * 4; }
constexpr LH_HOST_DEVICE uint32_t f16_blocks(size_t n_cols) { return divide_up(n_cols, 64) * 4; }
inline constexpr uint32_t kFragmentBytes = 256;  // of a block of a group, in either form

}  // namespace longhaul::cuda
