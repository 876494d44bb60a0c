// Softmax states and their merge.
#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/attention_kernel.h"

namespace longhaul::attention {

void set_empty(const States& states, size_t n_queries, size_t value_dim) {
  std::fill_n(states.m, n_queries, -std::numeric_limits<float>::infinity());
  std::fill_n(states.l, n_queries, 0.0F);
  std::fill_n(states.o, n_queries * value_dim, 0.0F);
}

void merge_states(const States& into, const States& from, size_t n_queries, size_t value_dim) {
  for (size_t i = 0; i < n_queries; ++i) {
    if (from.l[i] == 0.0F) continue;  // empty: a state with a token has l >= 1
    const float m = std::max(into.m[i], from.m[i]);
    const float keep = std::exp2(into.m[i] - m);
    const float add = std::exp2(from.m[i] - m);
    into.m[i] = m;
    into.l[i] = into.l[i] * keep + from.l[i] * add;
    float* to = into.o + i * value_dim;
    const float* o = from.o + i * value_dim;
    for (size_t d = 0; d < value_dim; ++d) to[d] = to[d] * keep + o[d] * add;
  }
}

}  // namespace longhaul::attention
