// The small operations between matrix products, on the device: the same formulas as kernels/ops.h.
// Pointers are the device's; launches are asynchronous. A row's bits do not depend on the others.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/attention_types.h"
#include "cuda/launch.h"
#include "cuda/linear_kernels.h"

namespace longhaul::cuda {

// A matrix of floats with a row stride.
struct Rows {
  float* data = nullptr;
  uint32_t n_rows = 0;
  uint32_t n_cols = 0;
  size_t stride = 0;
};

// Of the rows of norm() and activate(): columns and strides are multiples of 4, rows begin at
// multiples of 16 bytes. With `rounded` the result is rounded to 8 bits besides, as prepare() does.

// out = x / sqrt(mean(x^2) + eps) * weight, row by row; `out` may be x. With `more` (n_rows > 0) x +=
// more first.
struct Norm {
  Rows x;
  Rows more;
  const float* weight = nullptr;
  float eps = 0.0F;
  Rows out;
};
void norm(cudaStream_t stream, const Norm& args, const PrepareArgs* rounded = nullptr);

// x += y, where `norm` is not null x += RMSNorm(y) * norm.
void add(cudaStream_t stream, Rows x, Rows y, const float* norm, float eps);

// Heads of head_dim numbers side by side in rows: each is normed by `norm` [head_dim] unless that
// is null, then its first 2 * n_pairs numbers are rotated by the row's angles [n_rows, n_pairs];
// n_pairs 0: not rotated. `halves`: number i turns with i + n_pairs, otherwise 2i with 2i + 1.
struct Heads {
  Rows rows;
  uint32_t head_dim = 0;
  const float* norm = nullptr;
};
// `others`, with as many rows, are done in the same launch; without columns: none.
void rotate(cudaStream_t stream, Heads heads, Heads others, const float* cos, const float* sin,
            uint32_t n_pairs, bool halves, float eps);

// gate = silu(gate) * up, or the tanh form of gelu(gate) * up.
struct Activated {
  bool is_gelu = false;
  Rows gate, up;
};
void activate(cudaStream_t stream, const Activated& args, const PrepareArgs* rounded = nullptr);

// to[i] = from[rows[i]] for i < to.n_rows; rows [to.n_rows] on the device.
void gather(cudaStream_t stream, Rows from, const uint32_t* rows, Rows to);

// to[rows[i]] += weights[i] * from[i] for i < from.n_rows; no row twice.
void add_scaled(cudaStream_t stream, Rows from, const uint32_t* rows, const float* weights,
                Rows to);

// cos and sin [n_rows, n_pairs] of positions[row] * frequencies[pair], times `magnitude`; the angle
// in f64, as on the host.
void angles(cudaStream_t stream, const uint32_t* positions, uint32_t n_rows,
            const double* frequencies, uint32_t n_pairs, double magnitude, float* cos, float* sin);

// Makes the tiles [first_tile, end_tile) of a sequence random, in all heads: normal-like numbers
// (the sum of four uniform ones) that depend on seed and place. `pages` on the device.
void fill_tiles(cudaStream_t stream, const KvLayer& kv, const uint32_t* pages, uint32_t first_tile,
                uint32_t end_tile, uint64_t seed);

}  // namespace longhaul::cuda
