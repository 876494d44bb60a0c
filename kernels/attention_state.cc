// Softmax states, their merge and their memory.
#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/attention.h"

namespace longhaul {

void set_empty(const AttentionStates& states) {
  std::fill_n(states.m, states.n_queries, -std::numeric_limits<float>::infinity());
  std::fill_n(states.l, states.n_queries, 0.0F);
  std::fill_n(states.o, states.n_queries * states.value_dim, 0.0F);
}

void merge(const AttentionStates& into, const AttentionStates& from) {
  const size_t value_dim = into.value_dim;
  for (size_t i = 0; i < into.n_queries; ++i) {
    if (from.l[i] == 0.0F) continue;
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

void finish(const AttentionStates& states, size_t n_group, float* out, size_t out_stride) {
  const size_t value_dim = states.value_dim;
  for (size_t i = 0; i < states.n_queries; ++i) {
    float* to = out + i / n_group * out_stride + i % n_group * value_dim;
    const float inverse = states.l[i] == 0.0F ? 0.0F : 1.0F / states.l[i];
    for (size_t d = 0; d < value_dim; ++d) to[d] = states.o[i * value_dim + d] * inverse;
  }
}

AttentionStates StateBuffer::make(size_t n_queries, size_t value_dim) {
  const auto reserve = [](AlignedBuffer<float>& buffer, size_t size) {
    if (size > buffer.size()) buffer.ensure(std::bit_ceil(size));
  };
  reserve(m_, n_queries);
  reserve(l_, n_queries);
  reserve(o_, n_queries * value_dim);
  return {m_.data(), l_.data(), o_.data(), n_queries, value_dim};
}

AttentionStates SegmentStates::segment(size_t job, size_t i) const {
  const Place& place = jobs_[job];
  const size_t first = place.first_query + i * place.n_queries;
  return {all_.m + first, all_.l + first,
          all_.o + place.first_number + i * place.n_queries * place.value_dim, place.n_queries,
          place.value_dim};
}

void SegmentStates::resize(std::span<const Shape> jobs) {
  jobs_.clear();
  size_t n_queries = 0;
  size_t n_numbers = 0;
  for (const Shape& shape : jobs) {
    jobs_.push_back({shape, n_queries, n_numbers});
    n_queries += shape.n_segments * shape.n_queries;
    n_numbers += shape.n_segments * shape.n_queries * shape.value_dim;
  }
  // The mean width, rounded up, makes room for all numbers.
  all_ = buffer_.make(n_queries, n_queries == 0 ? 0 : (n_numbers + n_queries - 1) / n_queries);
}

}  // namespace longhaul
