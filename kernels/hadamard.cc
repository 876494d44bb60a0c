#include "kernels/hadamard.h"

#include <cmath>

namespace longhaul {

void rotate_dims(float* x, size_t dim) {
  const size_t n = dim & (~dim + 1);
  const float scale = 1.0F / std::sqrt(static_cast<float>(n));
  for (size_t i = 0; i < dim; ++i) x[i] *= scale * rotation_sign(i);
  for (size_t half = 1; half < n; half *= 2) {
    for (size_t first = 0; first < dim; first += 2 * half) {
      for (size_t i = first; i < first + half; ++i) {
        const float a = x[i], b = x[i + half];
        x[i] = a + b;
        x[i + half] = a - b;
      }
    }
  }
}

}  // namespace longhaul
