#include "kernels/reference/ops.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace longhaul::reference {

void layer_norm(const float* x, const float* weight, const float* bias, float eps, size_t n,
                double* out) {
  double mean = 0, variance = 0;
  for (size_t i = 0; i < n; ++i) mean += static_cast<double>(x[i]) / static_cast<double>(n);
  for (size_t i = 0; i < n; ++i) {
    const double difference = static_cast<double>(x[i]) - mean;
    variance += difference * difference / static_cast<double>(n);
  }
  const double factor = 1 / std::sqrt(variance + static_cast<double>(eps));
  for (size_t i = 0; i < n; ++i) {
    out[i] = (static_cast<double>(x[i]) - mean) * factor * static_cast<double>(weight[i]) +
             static_cast<double>(bias[i]);
  }
}

void rms_norm(const float* x, const float* weight, float eps, size_t n, double* out) {
  double sum = 0.0;
  for (size_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * x[i];
  const double factor = 1.0 / std::sqrt(sum / static_cast<double>(n) + eps);
  for (size_t i = 0; i < n; ++i) out[i] = x[i] * factor * weight[i];
}

void apply_rope(const float* heads, size_t n_heads, size_t head_dim, size_t rope_dim,
                const float* cos, const float* sin, RopeLayout layout, double* out) {
  std::copy_n(heads, n_heads * head_dim, out);
  const size_t n_pairs = rope_dim / 2;
  for (size_t h = 0; h < n_heads; ++h) {
    for (size_t i = 0; i < n_pairs; ++i) {
      const size_t a = h * head_dim + (layout == RopeLayout::kHalf ? i : 2 * i);
      const size_t b = layout == RopeLayout::kHalf ? a + n_pairs : a + 1;
      const double x0 = heads[a];
      const double x1 = heads[b];
      out[a] = x0 * cos[i] - x1 * sin[i];
      out[b] = x0 * sin[i] + x1 * cos[i];
    }
  }
}

double silu(double x) { return x / (1.0 + std::exp(-x)); }

// x / 2 (1 + tanh(u)), with no difference of nearly equal numbers.
double gelu(double x) {
  const double u = std::sqrt(2.0 / std::acos(-1.0)) * (x + 0.044715 * x * x * x);
  return x / (1.0 + std::exp(-2.0 * u));
}

void softmax(const float* x, size_t n, double* out) {
  double max = -std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < n; ++i) max = std::max(max, static_cast<double>(x[i]));
  if (max == -std::numeric_limits<double>::infinity()) {
    std::fill_n(out, n, 0.0);
    return;
  }
  double sum = 0.0;
  for (size_t i = 0; i < n; ++i) sum += out[i] = std::exp(x[i] - max);
  for (size_t i = 0; i < n; ++i) out[i] /= sum;
}

size_t argmax(const float* x, size_t n) {
  size_t best = 0;
  for (size_t i = 1; i < n; ++i) {
    if (x[i] > x[best] || (std::isnan(x[best]) && !std::isnan(x[i]))) best = i;
  }
  return best;
}

}  // namespace longhaul::reference
