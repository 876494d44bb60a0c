#include "kernels/reference/retention.h"

#include <algorithm>
#include <cmath>

namespace longhaul::reference {
namespace {

double score(const Retention& x, size_t n, size_t m) {
  double sum = 0;
  for (size_t i = 0; i < x.key_dim; ++i) sum += x.q[n * x.key_dim + i] * x.k[m * x.key_dim + i];
  return sum;
}

// Adds what the tokens [first, n] say to token n.
void add_inner(const Retention& x, size_t first, size_t n, double* out) {
  double decay = 0;  // log, from token m to n
  for (size_t m = n + 1; m-- > first;) {
    const double weight = std::exp(decay) * score(x, n, m);
    for (size_t c = 0; c < x.value_dim; ++c) out[c] += weight * x.v[m * x.value_dim + c];
    decay += x.log_decay[m];
  }
}

}  // namespace

std::vector<double> retain_parallel(const Retention& x) {
  std::vector<double> out(x.n * x.value_dim, 0.0);
  for (size_t n = 0; n < x.n; ++n) add_inner(x, 0, n, out.data() + n * x.value_dim);
  return out;
}

std::vector<double> retain_recurrent(const Retention& x) {
  std::vector<double> out(x.n * x.value_dim, 0.0);
  std::vector<double> state(x.key_dim * x.value_dim, 0.0);
  for (size_t n = 0; n < x.n; ++n) {
    const double decay = std::exp(x.log_decay[n]);
    for (size_t i = 0; i < x.key_dim; ++i) {
      for (size_t c = 0; c < x.value_dim; ++c) {
        double& s = state[i * x.value_dim + c];
        s = decay * s + x.k[n * x.key_dim + i] * x.v[n * x.value_dim + c];
        out[n * x.value_dim + c] += x.q[n * x.key_dim + i] * s;
      }
    }
  }
  return out;
}

std::vector<double> retain_chunkwise(const Retention& x, size_t chunk) {
  std::vector<double> out(x.n * x.value_dim, 0.0);
  std::vector<double> state(x.key_dim * x.value_dim, 0.0);
  for (size_t first = 0; first < x.n; first += chunk) {
    const size_t end = std::min(x.n, first + chunk);
    double sum = 0;  // of the chunk's log decays so far
    for (size_t n = first; n < end; ++n) {
      sum += x.log_decay[n];
      double* const o = out.data() + n * x.value_dim;
      add_inner(x, first, n, o);
      for (size_t i = 0; i < x.key_dim; ++i) {
        const double weight = std::exp(sum) * x.q[n * x.key_dim + i];
        for (size_t c = 0; c < x.value_dim; ++c) o[c] += weight * state[i * x.value_dim + c];
      }
    }
    for (double& s : state) s *= std::exp(sum);
    double after = 0;  // log decay from token m to the chunk's last
    for (size_t m = end; m-- > first;) {
      for (size_t i = 0; i < x.key_dim; ++i) {
        const double weight = std::exp(after) * x.k[m * x.key_dim + i];
        for (size_t c = 0; c < x.value_dim; ++c)
          state[i * x.value_dim + c] += weight * x.v[m * x.value_dim + c];
      }
      after += x.log_decay[m];
    }
  }
  return out;
}

}  // namespace longhaul::reference
