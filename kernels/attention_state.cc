// Softmax states and prepared queries: the scalar parts around the tile walk.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/attention_kernel.h"

namespace longhaul::attention {

void set_empty(const States& states, size_t n_queries, size_t head_dim) {
  std::fill_n(states.m, n_queries, -std::numeric_limits<float>::infinity());
  std::fill_n(states.l, n_queries, 0.0F);
  std::fill_n(states.o, n_queries * head_dim, 0.0F);
}

void merge_states(const States& into, const States& from, size_t n_queries, size_t head_dim) {
  for (size_t i = 0; i < n_queries; ++i) {
    if (from.l[i] == 0.0F) continue;  // empty: a state with a token has l >= 1
    const float m = std::max(into.m[i], from.m[i]);
    const float keep = std::exp2(into.m[i] - m);
    const float add = std::exp2(from.m[i] - m);
    into.m[i] = m;
    into.l[i] = into.l[i] * keep + from.l[i] * add;
    float* to = into.o + i * head_dim;
    const float* o = from.o + i * head_dim;
    for (size_t d = 0; d < head_dim; ++d) to[d] = to[d] * keep + o[d] * add;
  }
}

namespace {

// Rounds 32 numbers to 16-bit integers in two signed halves. Returns the scale; NaN and infinity go
// into it.
float quantise_chunk(const float* x, int8_t* hi, int8_t* lo, int32_t& offset) {
  constexpr float kLargest = 32639.0F;  // 127 * 256 + 127: hi stays within int8
  uint32_t amax_bits = 0;               // magnitudes order like their bits, NaN last
  for (size_t i = 0; i < kScaleDims; ++i) {
    amax_bits = std::max(amax_bits, std::bit_cast<uint32_t>(x[i]) & 0x7FFFFFFFU);
  }
  const float scale = std::bit_cast<float>(amax_bits) / kLargest;
  const bool usable = scale >= std::numeric_limits<float>::min() && std::isfinite(scale);
  const float inverse = usable ? kLargest / std::bit_cast<float>(amax_bits) : 0.0F;
  int32_t sum = 0;
  for (size_t i = 0; i < kScaleDims; ++i) {
    const auto q = usable ? static_cast<int32_t>(std::nearbyint(x[i] * inverse)) : 0;
    const auto low = static_cast<int8_t>(q & 0xFF);
    lo[i] = low;
    hi[i] = static_cast<int8_t>((q - low) / 256);
    sum += q;
  }
  offset = -128 * sum;
  return scale;
}

}  // namespace

void prepare_queries(const float* q, size_t q_stride, size_t n_rows, size_t n_group,
                     size_t head_dim, float factor, bool int8, Queries& queries) {
  const size_t row_size = n_group * head_dim;
  queries.f32.ensure(n_rows * row_size);
  for (size_t r = 0; r < n_rows; ++r) {
    for (size_t i = 0; i < row_size; ++i)
      queries.f32[r * row_size + i] = q[r * q_stride + i] * factor;
  }
  if (!int8) return;
  const size_t n_chunks = n_rows * row_size / kScaleDims;
  queries.hi.ensure(n_rows * row_size);
  queries.lo.ensure(n_rows * row_size);
  queries.scales.ensure(n_chunks);
  queries.offsets.ensure(n_chunks);
  for (size_t c = 0; c < n_chunks; ++c) {
    queries.scales[c] = quantise_chunk(&queries.f32[c * kScaleDims], &queries.hi[c * kScaleDims],
                                       &queries.lo[c * kScaleDims], queries.offsets[c]);
  }
}

}  // namespace longhaul::attention
