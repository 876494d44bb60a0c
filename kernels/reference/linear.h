// kernels/linear.h with double precision over dequantised weights, for the tests, and the error
// that rounding the activations to 8 bits may bring.
#pragma once

#include <cstddef>
#include <vector>

#include "base/matrix_view.h"
#include "base/tensor_type.h"

namespace longhaul::reference {

// Rows of weights as f32, [n_out, n_in].
std::vector<float> dequantise(TensorType type, const std::byte* rows, size_t n_out, size_t n_in);

// sum_i w[i] * x[i].
double dot(const float* w, const float* x, size_t n);
// sum_i |w[i]| * |x[i]|.
double dot_of_magnitudes(const float* w, const float* x, size_t n);

// How far dot(w, x) may move when x is rounded in blocks of 32 to multiples of scale = max|x| /
// 127: each element moves by at most scale / 2, and a little more since scale and quotient are
// rounded to f32 (2^-21 of 127 steps and more).
double rounding_bound(const float* w, const float* x, size_t n);

}  // namespace longhaul::reference
