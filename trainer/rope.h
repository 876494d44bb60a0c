// Rotary position embedding as tensors, on halves: of n frequencies, pair (j, j + n) of a head
// turns by position * frequency j; dimensions beyond 2 n stay.
#pragma once

#include <torch/types.h>

#include <vector>

namespace longhaul::trainer {

// theta^(-2 j / n_dims), in radians a position, for j below n_dims / 2.
// `inclusive`: so spaced that the last one is 1 / theta.
std::vector<double> rope_frequencies(double theta, int64_t n_dims, bool inclusive = false);

struct RopeTables {
  torch::Tensor cos, sin;  // [n_positions, n_frequencies]
};
// cos and sin of positions [n_positions] (any type), times `magnitude`, with the type and device of
// `options`. Angles are computed in float64: at position 1M a float32 angle is off by 0.06 radians.
RopeTables rope_tables(const std::vector<double>& frequencies, const torch::Tensor& positions,
                       const torch::TensorOptions& options, double magnitude = 1);

// x [..., n_positions, at least 2 n_frequencies].
torch::Tensor rotate(const torch::Tensor& x, const RopeTables& tables);

// GGUF's "llama" keeps the rotated dimensions of a head in interleaved order, pairs side by side.
// Element j of the result says where dimension j of a head in halves stands there: [head_dim].
torch::Tensor interleaved_place(int64_t head_dim, int64_t rope_dim);

}  // namespace longhaul::trainer
