// xPos on the host. The decay zeta^(distance / base) of a score is split between its query and its
// key relative to a place that both know: the first token of the key's segment of the attention
// kernel, 2,048 tokens. So a stored key never changes and is at most 3.5^(2048 / base) times what it
// was; a query is scaled anew for each segment it sees, by at most 1, and the softmax states of the
// segments are merged in order. Nothing overflows at any length, and the bits depend on no chunk.
#include <algorithm>
#include <cmath>

#include "model/cpu/attention.h"
#include "model/cpu/backend.h"
#include "model/pass.h"

namespace longhaul {
namespace {

constexpr size_t kSegmentTokens = kSegmentTiles * kTileTokens;

// The decay of each dimension of a head, over distances in units of the base.
class Decay {
 public:
  Decay(const AttentionSpec& spec, RopeLayout layout)
      : dim_(spec.key_dim), layout_(layout), base_(spec.xpos_base) {}

  // to = from * zeta^(distance / base) for each of the heads.
  void scale(const float* from, size_t n_numbers, double distance, float* to) const {
    const size_t n_pairs = dim_ / 2;
    for (size_t j = 0; j < n_pairs; ++j) {
      const auto pair = static_cast<double>(2 * j), dim = static_cast<double>(dim_);
      const double zeta = (pair + 0.4 * dim) / (1.4 * dim);
      const auto factor = static_cast<float>(std::pow(zeta, distance / base_));
      const size_t a = layout_ == RopeLayout::kHalf ? j : 2 * j;
      const size_t b = layout_ == RopeLayout::kHalf ? j + n_pairs : 2 * j + 1;
      for (size_t head = 0; head < n_numbers; head += dim_) {
        to[head + a] = from[head + a] * factor;
        to[head + b] = from[head + b] * factor;
      }
    }
  }

 private:
  size_t dim_;
  RopeLayout layout_;
  double base_;
};

}  // namespace

void CpuAttention::decay_keys(const Pass& pass, const AttentionSpec& spec, MatrixView<float> k) {
  const Decay decay(spec, pass.plan.ropes[*spec.rope].layout);
  for_each(pool_, k.n_rows, kSerialRows, [&](size_t r, size_t) {
    const auto behind = static_cast<double>(pass.row(r).pos % kSegmentTokens);
    decay.scale(k.row(r), k.n_cols, -behind, k.row(r));
  });
}

// Segment after segment, with the queries that its keys want.
void CpuAttention::attend_decayed(const Layer& layer, MatrixView<const float> q) {
  const Pass& pass = layer.pass;
  const AttentionSpec& spec = layer.spec;
  const Decay decay(spec, pass.plan.ropes[*spec.rope].layout);
  size_t earliest = SIZE_MAX, last_pos = 0, n_queries = 0;
  for (const AttentionJob& job : jobs_) {
    earliest = std::min<size_t>(earliest, first_seen(job.first_pos, job.window, job.window_step));
    last_pos = std::max<size_t>(last_pos, job.first_pos + job.n_rows - 1);
    n_queries += job.n_rows * job.n_group;
  }
  decayed_.ensure(q.n_rows * q.n_cols);
  const MatrixView<float> decayed(decayed_.data(), q.n_rows, q.n_cols);
  const AttentionStates states = states_.make(n_queries, spec.value_dim);
  set_empty(states);
  for (size_t segment = earliest / kSegmentTokens; segment <= last_pos / kSegmentTokens;
       ++segment) {
    const size_t origin = segment * kSegmentTokens;
    for_each(pool_, pass.steps.size(), 1, [&](size_t s, size_t) {
      const StepRows& rows = pass.rows[s];
      for (size_t r = 0; r < rows.n; ++r) {
        // A row before the segment sees nothing of it.
        const size_t pos = rows.first_pos + r;
        const auto distance = static_cast<double>(pos < origin ? 0 : pos - origin);
        decay.scale(q.row(rows.first + r), q.n_cols, distance, decayed.row(rows.first + r));
      }
    });
    parts_.assign(jobs_.size(), {segment * kSegmentTiles, (segment + 1) * kSegmentTiles});
    for (AttentionJob& job : jobs_) job.q = decayed.data + (job.q - q.data);
    attend_part(pool_, jobs_, parts_, workspace_, segment_states_);
    for (AttentionJob& job : jobs_) job.q = q.data + (job.q - decayed.data);
    size_t first = 0;
    for (size_t i = 0; i < jobs_.size(); ++i) {
      const size_t n = jobs_[i].n_rows * jobs_[i].n_group;
      for (size_t j = 0; j < segment_states_.n_segments(i); ++j)
        merge(states.queries(first, n), segment_states_.segment(i, j));
      first += n;
    }
  }
  size_t first = 0;
  for (const AttentionJob& job : jobs_) {
    const size_t n = job.n_rows * job.n_group;
    finish(states.queries(first, n), job.n_group, job.out, job.out_stride);
    first += n;
  }
  LH_CHECK(first == n_queries);
}

}  // namespace longhaul
