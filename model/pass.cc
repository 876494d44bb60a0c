#include "model/pass.h"

#include <cstring>

#include "base/check.h"
#include "kernels/ops.h"

namespace longhaul {
namespace {

// The rows that the last layer needs. A partial rectification reads the blocks that any of its rows
// asks for, so with logits it keeps them all.
size_t n_kept_rows(const Step& step) {
  const bool partial = step.selector != nullptr && step.tokens.size() > 1;
  return partial && step.n_logits > 0 ? step.tokens.size() : step.n_logits;
}

}  // namespace

Pass::Pass(ThreadPool& pool_in, const ModelPlan& plan_in, std::span<const float> rope_factors,
           size_t max_rows_in)
    : pool(pool_in),
      plan(plan_in),
      max_rows(max_rows_in),
      x(max_rows * plan.d_model),
      normed(max_rows * plan.d_model),
      product(max_rows * plan.d_model) {
  tokens_.reserve(max_rows);
  for (const RopeConfig& config : plan.ropes) {
    RopeTable table(config, config.has_factors ? rope_factors : std::span<const float>());
    const size_t n = max_rows * table.n_frequencies();
    angles.push_back({std::move(table), AlignedBuffer<float>(n), AlignedBuffer<float>(n)});
  }
}

size_t Pass::row_bytes(const ModelPlan& plan) {
  size_t n_floats = 3 * plan.d_model;
  for (const RopeConfig& rope : plan.ropes) n_floats += rope.dim;
  return n_floats * sizeof(float);
}

Status Pass::check_tokens(const Step& step) const {
  for (size_t i = 0; i < step.tokens.size(); ++i) {
    const int32_t token = step.tokens[i];
    if (token >= 0 && static_cast<size_t>(token) < plan.vocab_size) continue;
    return bad_input("token {} at position {}: expected 0 to {}", token, step.first_pos + i,
                     plan.vocab_size - 1);
  }
  return {};
}

void Pass::begin(std::span<Step> all, PassTimes* pass_times) {
  times = pass_times;
  timer.start(times);
  steps.clear();
  rows.clear();
  kept_.clear();
  tokens_.clear();
  n_kept_ = 0;
  for (Step& step : all) {
    const size_t n_tokens = step.tokens.size();
    LH_CHECK(n_tokens > 0 && step.n_logits <= n_tokens);
    LH_CHECK(step.selector == nullptr || step.attention != nullptr);
    LH_CHECK(step.observer == nullptr || n_tokens == 1);
    LH_CHECK(tokens_.size() + n_tokens <= max_rows);
    step.stats = {};
    step.status = check_tokens(step);
    if (step.status) step.status = step.state->reserve(step.first_pos, n_tokens);
    if (!step.status) continue;
    steps.push_back(&step);
    rows.push_back({tokens_.size(), n_tokens, step.first_pos});
    const size_t n_kept = n_kept_rows(step);
    kept_.push_back({n_kept_, n_kept, step.first_pos + n_tokens - n_kept});
    n_kept_ += n_kept;
    for (size_t i = 0; i < n_tokens; ++i) tokens_.push_back({step.tokens[i], step.first_pos + i});
  }
  n_rows = tokens_.size();
}

void Pass::embed(const TableView& table) {
  const size_t d = plan.d_model;
  for_each_row([&](size_t r, size_t) {
    float* row = x.data() + r * d;
    embed_row(table.type, table.rows, d, static_cast<size_t>(tokens_[r].token), row);
    if (plan.embedding_scale != 1.0F) scale_in_place(row, plan.embedding_scale, d);
    for (Angles& rope : angles) {
      const size_t n = rope.table.n_frequencies();
      rope.table.angles(tokens_[r].pos, rope.cos.data() + r * n, rope.sin.data() + r * n);
    }
  });
}

void Pass::narrow() {
  if (!can_narrow()) return;
  // Rows move to lower places, in ascending order: none is overwritten before it has moved.
  const auto move = [&](AlignedBuffer<float>& buffer, size_t width) {
    if (buffer.size() == 0) return;
    for (size_t s = 0; s < steps.size(); ++s) {
      const size_t from = rows[s].first + rows[s].n - kept_[s].n;
      std::memmove(buffer.data() + kept_[s].first * width, buffer.data() + from * width,
                   kept_[s].n * width * sizeof(float));
    }
  };
  move(x, plan.d_model);
  move(normed, plan.d_model);
  for (Angles& rope : angles) {
    move(rope.cos, rope.table.n_frequencies());
    move(rope.sin, rope.table.n_frequencies());
  }
  for (SelectorRows& selector : selector_rows) move(selector.floats, selector.n_floats);
  std::swap(rows, kept_);
  n_rows = n_kept_;
}

void Pass::for_each(size_t n, size_t serial, FunctionRef<void(size_t, size_t)> task) {
  if (n <= serial) {
    for (size_t i = 0; i < n; ++i) task(i, 0);
  } else {
    pool.run(n, task);
  }
}

void Pass::norm(const AlignedBuffer<float>& weight) {
  const size_t d = plan.d_model;
  for_each_row([&](size_t r, size_t) {
    rms_norm(x.data() + r * d, weight.data(), plan.norm_eps, d, normed.data() + r * d);
  });
}

void Pass::add_product(const AlignedBuffer<float>& post_norm) {
  const size_t d = plan.d_model;
  for_each_row([&](size_t r, size_t) {
    float* row = product.data() + r * d;
    if (post_norm.size() > 0) rms_norm(row, post_norm.data(), plan.norm_eps, d, row);
    add_in_place(x.data() + r * d, row, d);
  });
}

void Pass::prepare_input(MatrixView<const float> input) {
  timer.lap(&PassTimes::rest_s);
  prepare(pool, input, activations_);
  timer.lap(&PassTimes::weights_s);
}

void Pass::multiply(std::span<const MatmulTask> tasks) {
  timer.lap(&PassTimes::rest_s);
  matmul(pool, activations_, tasks);
  timer.lap(&PassTimes::weights_s);
}

}  // namespace longhaul
