#include "kernels/reference/scan.h"

#include <cmath>

namespace longhaul::reference {

std::vector<double> scan(const Scan& s) {
  std::vector<double> state(s.n_channels * s.n_states, 0.0), out(s.n * s.n_channels);
  for (size_t t = 0; t < s.n; ++t) {
    for (size_t e = 0; e < s.n_channels; ++e) {
      const double biased = s.step[t * s.n_channels + e] + s.step_bias[e];
      const double dt = std::log1p(std::exp(-std::abs(biased))) + std::fmax(biased, 0.0);
      const double x = s.x[t * s.n_channels + e];
      double sum = s.d[e] * x;
      for (size_t i = 0; i < s.n_states; ++i) {
        double& h = state[e * s.n_states + i];
        h = std::exp(dt * s.a[e * s.n_states + i]) * h + dt * x * s.b[t * s.n_states + i];
        sum += h * s.c[t * s.n_states + i];
      }
      out[t * s.n_channels + e] = sum;
    }
  }
  return out;
}

}  // namespace longhaul::reference
