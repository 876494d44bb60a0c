// Mamba's selective scan (arXiv 2312.00752, algorithm 2): for each channel a state of a few numbers
// that fades at a pace of its own, which the token chooses.
#pragma once

#include <cstddef>

namespace longhaul {

// All channels of one text over n_rows tokens in a row. Strides are in floats from one token to the
// next.
struct ScanJob {
  const float* step = nullptr;       // [n_rows, n_channels], before step_bias and softplus
  const float* x = nullptr;          // [n_rows, n_channels]
  const float* b = nullptr;          // [n_rows, n_states]
  const float* c = nullptr;          // [n_rows, n_states]
  const float* step_bias = nullptr;  // [n_channels]
  const float* a = nullptr;          // [n_channels, n_states], all at most 0
  const float* d = nullptr;          // [n_channels]
  float* state = nullptr;            // [n_channels, n_states], after the tokens before these
  float* out = nullptr;              // [n_rows, n_channels]
  size_t step_stride = 0, x_stride = 0, b_stride = 0, c_stride = 0, out_stride = 0;
  size_t n_rows = 0;
  size_t n_states = 0;  // a multiple of kScanStep
};

inline constexpr size_t kScanStep = 16;

// For each token in turn, with dt = softplus(step + step_bias):
// state = exp(dt a) * state + (dt x) b, out = state c + d x. Only channels [first, first + n), both
// multiples of kScanStep. The bits do not depend on how a text was cut into calls.
void scan(const ScanJob& job, size_t first, size_t n);

}  // namespace longhaul
