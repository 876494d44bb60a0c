// The small operations between matrix products, on one row each. All pointers may be unaligned;
// `out` may be the same as an input, but may not overlap it otherwise. The bits of a result depend
// on its inputs and the instruction set alone.
#pragma once

#include <cstddef>

namespace longhaul {

// out[i] = x[i] / sqrt(mean(x^2) + eps) * weight[i], for n numbers (Zhang and Sennrich 2019,
// equation 4).
void rms_norm(const float* x, const float* weight, float eps, size_t n, float* out);

// out[i] = (x[i] - mean(x)) / sqrt(variance(x) + eps) * weight[i] + bias[i], for n numbers (Ba et al.
// 2016).
void layer_norm(const float* x, const float* weight, const float* bias, float eps, size_t n,
                float* out);

// Which two numbers of a head a rotation turns: (x0, x1), (x2, x3), .. or (x_i, x_{i + rope_dim /
// 2}).
enum class RopeLayout { kInterleaved, kHalf };

// Rotates the first rope_dim numbers of each of n_heads heads [head_dim] in place: pair i by the
// angle whose cosine and sine are cos[i] and sin[i], i < rope_dim / 2 (Su et al. 2021). rope_dim is
// even and at most head_dim.
void apply_rope(float* heads, size_t n_heads, size_t head_dim, size_t rope_dim, const float* cos,
                const float* sin, RopeLayout layout);

// out[i] = gate[i] / (1 + exp(-gate[i])) * up[i]: SwiGLU without its matrices.
void silu_mul(const float* gate, const float* up, size_t n, float* out);

// out[i] = gelu(gate[i]) * up[i], gelu(t) = t / 2 (1 + tanh(sqrt(2 / pi) (t + 0.044715 t^3))):
// GeGLU without its matrices (Hendrycks and Gimpel 2016, Shazeer 2020). gelu(-infinity) is -0.
void gelu_mul(const float* gate, const float* up, size_t n, float* out);

// x += y.
void add_in_place(float* x, const float* y, size_t n);

// x *= factor.
void scale_in_place(float* x, float factor, size_t n);

// x = exp(x) / sum(exp(x)); all 0 where every x is -infinity.
void softmax_in_place(float* x, size_t n);

// The index of the largest x, the lowest of equals. A NaN is larger than nothing; 0 if there is no
// number at all.
size_t argmax(const float* x, size_t n);

}  // namespace longhaul
