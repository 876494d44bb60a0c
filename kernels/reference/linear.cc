#include "kernels/reference/linear.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "quant/registry.h"

namespace longhaul::reference {

std::vector<float> dequantise(TensorType type, const std::byte* rows, size_t n_out, size_t n_in) {
  const QuantTraits* traits = find_quant(type);
  LH_CHECK(traits != nullptr);
  std::vector<float> out(n_out * n_in);
  traits->dequantize(rows, out.data(), out.size());
  return out;
}

double dot(const float* w, const float* x, size_t n) {
  double sum = 0.0;
  for (size_t i = 0; i < n; ++i) sum += static_cast<double>(w[i]) * x[i];
  return sum;
}

double dot_of_magnitudes(const float* w, const float* x, size_t n) {
  double sum = 0.0;
  for (size_t i = 0; i < n; ++i) sum += std::abs(static_cast<double>(w[i]) * x[i]);
  return sum;
}

double rounding_bound(const float* w, const float* x, size_t n) {
  constexpr size_t kBlock = 32;
  double bound = 0.0;
  for (size_t first = 0; first < n; first += kBlock) {
    double amax = 0.0;
    double weights = 0.0;
    for (size_t i = first; i < first + kBlock; ++i) {
      amax = std::max(amax, std::abs(static_cast<double>(x[i])));
      weights += std::abs(static_cast<double>(w[i]));
    }
    bound += amax / 127.0 * (0.5 + 127.0 * 0x1p-21) * weights;
  }
  return bound;
}

}  // namespace longhaul::reference
