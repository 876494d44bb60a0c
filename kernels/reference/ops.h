// kernels/ops.h in plain loops with double precision, for the tests: the definitions, written once
// more.
#pragma once

#include <cstddef>

#include "kernels/ops.h"

namespace longhaul::reference {

void layer_norm(const float* x, const float* weight, const float* bias, float eps, size_t n,
                double* out);
void rms_norm(const float* x, const float* weight, float eps, size_t n, double* out);
void apply_rope(const float* heads, size_t n_heads, size_t head_dim, size_t rope_dim,
                const float* cos, const float* sin, RopeLayout layout, double* out);
double silu(double x);
double gelu(double x);
void softmax(const float* x, size_t n, double* out);  // as softmax_in_place
size_t argmax(const float* x, size_t n);

}  // namespace longhaul::reference
