// Operations of mixers beyond attention on the host: pairs of heads, retention, Mamba.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/ops.h"
#include "model/cpu/backend.h"
#include "model/pass.h"

namespace longhaul {
namespace {

// Columns of a head that one task takes, where heads are few.
constexpr size_t kSliceColumns = 64;
// Channels of Mamba that one task takes.
constexpr size_t kSliceChannels = kMambaStep;

float sigmoid(float x) { return 1.0F / (1.0F + std::exp(-x)); }

// sigmoid(gate)^(1 / temperature), by its logarithm: far below zero the sigmoid itself is nothing.
float gated_decay(float gate, float temperature) {
  const float log_sigmoid = std::min(gate, 0.0F) - std::log1p(std::exp(-std::abs(gate)));
  return std::exp(log_sigmoid / temperature);
}

}  // namespace

void CpuBackend::spread_parts(MatrixView<const float> from, size_t head_dim, MatrixView<float> to) {
  for_each_row(from.n_rows, [&](size_t r, size_t) {
    std::memset(to.row(r), 0, to.n_cols * sizeof(float));
    for (size_t head = 0; head < from.n_cols / head_dim; ++head) {
      const size_t half = head % 2;
      std::memcpy(to.row(r) + (2 * head + half) * head_dim, from.row(r) + head * head_dim,
                  head_dim * sizeof(float));
    }
  });
}

void CpuBackend::subtract_pairs(MatrixView<const float> heads, size_t head_dim,
                                const Lambda& lambda, MatrixView<float> to) {
  for_each_row(heads.n_rows, [&](size_t r, size_t) {
    for (size_t pair = 0; pair < to.n_cols / head_dim; ++pair) {
      const float factor =
          lambda.gates.n_cols > 0 ? sigmoid(lambda.gates.row(r)[pair]) : lambda.value;
      const float* const first = heads.row(r) + 2 * pair * head_dim;
      float* const out = to.row(r) + pair * head_dim;
      for (size_t i = 0; i < head_dim; ++i) out[i] = first[i] - factor * first[head_dim + i];
    }
  });
}

void CpuBackend::retain(Pass& pass, const RetentionSpec& spec, MatrixView<const float> q,
                        MatrixView<float> k, MatrixView<const float> v,
                        MatrixView<const float> gates, MatrixView<float> out) {
  const size_t n_rows = pass.n_rows;
  decays_.resize(spec.n_heads * n_rows);
  for_each_row(n_rows, [&](size_t r, size_t) {
    scale_in_place(k.row(r), spec.scale, k.n_cols);
    for (size_t head = 0; head < spec.n_heads; ++head) {
      decays_[head * n_rows + r] =
          spec.is_gated() ? gated_decay(gates.row(r)[head], spec.temperature) : spec.decays[head];
    }
  });
  retained_.clear();
  for (size_t s = 0; s < pass.steps.size(); ++s) {
    const StepRows& rows = pass.rows[s];
    RecurrentState& state = pass.steps[s]->state->recurrent(spec.state.slot);
    for (size_t head = 0; head < spec.n_heads; ++head) {
      retained_.push_back(
          {.q = q.row(rows.first) + head * spec.key_dim,
           .k = k.row(rows.first) + head * spec.key_dim,
           .v = v.row(rows.first) + head * spec.value_dim,
           .decay = decays_.data() + head * n_rows + rows.first,
           .state = state.layer(spec.state.layer).data() + head * spec.key_dim * spec.value_dim,
           .out = out.row(rows.first) + head * spec.value_dim,
           .q_stride = q.stride,
           .k_stride = k.stride,
           .v_stride = v.stride,
           .out_stride = out.stride,
           .n_rows = rows.n,
           .key_dim = spec.key_dim,
           .value_dim = spec.value_dim});
    }
    state.advance(rows.first_pos + rows.n);
  }
  const size_t width = spec.value_dim % kSliceColumns == 0 ? kSliceColumns : kRetentionStep;
  const size_t n_slices = spec.value_dim / width;
  for_each(pool_, retained_.size() * n_slices, 1, [&](size_t task, size_t) {
    longhaul::retain(retained_[task / n_slices], task % n_slices * width, width);
  });
}

// Behind the scan's state stand the last inputs of the convolution, [d_conv - 1, d_inner].
void CpuBackend::convolve(Pass& pass, const MambaSpec& spec, MatrixView<const float> u,
                          const Floats& weight, const Floats& bias, MatrixView<float> out) {
  const size_t n_before = spec.d_conv - 1;
  const size_t n_slices = spec.d_inner / kSliceChannels;
  for_each(pool_, pass.steps.size() * n_slices, 1, [&](size_t task, size_t) {
    const StepRows& rows = pass.rows[task / n_slices];
    RecurrentState& state = pass.steps[task / n_slices]->state->recurrent(spec.state.slot);
    float* const before = state.layer(spec.state.layer).data() + spec.d_inner * spec.d_state;
    const size_t first = task % n_slices * kSliceChannels;
    // Row r of the text as it stands before and in the pass.
    const auto input = [&](size_t r) {
      return r < n_before ? before + r * spec.d_inner : u.row(rows.first + r - n_before);
    };
    for (size_t r = 0; r < rows.n; ++r) {
      float* const to = out.row(rows.first + r);
      for (size_t e = first; e < first + kSliceChannels; ++e) {
        float sum = bias.data()[e];
        for (size_t j = 0; j < spec.d_conv; ++j)
          sum += weight.data()[e * spec.d_conv + j] * input(r + j)[e];
        to[e] = sum * sigmoid(sum);
      }
    }
    for (size_t r = 0; r < n_before; ++r)
      std::memmove(before + r * spec.d_inner + first, input(rows.n + r) + first,
                   kSliceChannels * sizeof(float));
  });
}

void CpuBackend::scan(Pass& pass, const MambaSpec& spec, const ScanInput& input,
                      MatrixView<float> out) {
  scans_.clear();
  for (size_t s = 0; s < pass.steps.size(); ++s) {
    const StepRows& rows = pass.rows[s];
    RecurrentState& state = pass.steps[s]->state->recurrent(spec.state.slot);
    scans_.push_back({.step = input.step.row(rows.first),
                      .x = input.x.row(rows.first),
                      .b = input.b.row(rows.first),
                      .c = input.c.row(rows.first),
                      .step_bias = input.step_bias->data(),
                      .a = input.a->data(),
                      .d = input.d->data(),
                      .state = state.layer(spec.state.layer).data(),
                      .out = out.row(rows.first),
                      .step_stride = input.step.stride,
                      .x_stride = input.x.stride,
                      .b_stride = input.b.stride,
                      .c_stride = input.c.stride,
                      .out_stride = out.stride,
                      .n_rows = rows.n,
                      .n_states = spec.d_state});
    state.advance(rows.first_pos + rows.n);
  }
  const size_t n_slices = spec.d_inner / kSliceChannels;
  for_each(pool_, scans_.size() * n_slices, 1, [&](size_t task, size_t) {
    longhaul::scan(scans_[task / n_slices], task % n_slices * kSliceChannels, kSliceChannels);
  });
}

}  // namespace longhaul
