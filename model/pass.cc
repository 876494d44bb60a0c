#include "model/pass.h"

#include <algorithm>

#include "base/check.h"

namespace longhaul {
namespace {

// The rows that the last layer needs. A partial rectification reads the blocks that any of its rows
// asks for, so with logits it keeps them all.
size_t n_kept_rows(const Step& step) {
  const bool partial = step.selector != nullptr && step.tokens.size() > 1;
  return partial && step.n_logits > 0 ? step.tokens.size() : step.n_logits;
}

size_t n_attentions(const ModelPlan& plan) {
  return static_cast<size_t>(std::count_if(
      plan.layers.begin(), plan.layers.end(),
      [](const LayerSpec& layer) { return std::holds_alternative<AttentionSpec>(layer.mixer); }));
}

}  // namespace

Pass::Pass(Backend& backend_in, const ModelPlan& plan_in, std::span<const float> rope_factors,
           size_t max_rows_in)
    : backend(backend_in),
      plan(plan_in),
      max_rows(max_rows_in),
      n_attention_layers(n_attentions(plan)),
      x(backend.floats(max_rows * plan.d_model)),
      normed(backend.floats(max_rows * plan.d_model)),
      product(backend.floats(max_rows * plan.d_model)),
      memory(backend.floats(max_rows * memory_width(plan))) {
  tokens_.reserve(max_rows);
  by_row_ = {{x.data(), plan.d_model}, {normed.data(), plan.d_model}};
  if (memory.size() > 0) by_row_.push_back({memory.data(), memory_width(plan)});
  for (const RopeConfig& config : plan.ropes) {
    RopeTable table(config, config.has_factors ? rope_factors : std::span<const float>());
    const size_t n = table.n_frequencies();
    Floats cos = backend.floats(max_rows * n);
    Floats sin = backend.floats(max_rows * n);
    by_row_.push_back({cos.data(), n});
    by_row_.push_back({sin.data(), n});
    ropes_.push_back({std::move(table), config.layout, std::move(cos), std::move(sin)});
  }
}

size_t Pass::row_bytes(const ModelPlan& plan) {
  size_t n_floats = 3 * plan.d_model + memory_width(plan);
  for (const RopeConfig& rope : plan.ropes) n_floats += rope.dim;
  return n_floats * sizeof(float);
}

Status Pass::check(const Step& step) const {
  for (size_t i = 0; i < step.tokens.size(); ++i) {
    const int32_t token = step.tokens[i];
    if (token >= 0 && static_cast<size_t>(token) < plan.vocab_size) continue;
    return bad_input("token {} at position {}: expected 0 to {}", token, step.first_pos + i,
                     plan.vocab_size - 1);
  }
  return backend.check(step);
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
    step.status = check(step);
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

void Pass::embed(const Embedding& embedding) {
  backend.embed(*this, embedding, plan.embedding_scale, x_rows());
  for (const Rope& rope : ropes_) {
    const size_t n = rope.table.n_frequencies();
    backend.angles(*this, rope.table, rope.cos.rows(n_rows, n), rope.sin.rows(n_rows, n));
  }
}

Angles Pass::angles(size_t rope) const {
  const Rope& each = ropes_[rope];
  const size_t n = each.table.n_frequencies();
  return {each.cos.rows(n_rows, n), each.sin.rows(n_rows, n), each.layout};
}

void Pass::narrow() {
  if (!can_narrow()) return;
  moves_.clear();
  for (size_t s = 0; s < steps.size(); ++s)
    moves_.push_back({rows[s].first + rows[s].n - kept_[s].n, kept_[s].first, kept_[s].n});
  backend.narrow(moves_, by_row_);
  std::swap(rows, kept_);
  n_rows = n_kept_;
}

void Pass::norm(const Floats& weight, const Floats& bias) {
  if (bias.size() > 0) {
    backend.layer_norm(x_rows(), weight, bias, plan.norm_eps, normed_rows());
  } else {
    backend.norm(x_rows(), weight, plan.norm_eps, normed_rows());
  }
}

void Pass::add_product(const Floats& post_norm) {
  if (n_rows > 0) backend.add(x_rows(), product_rows(), post_norm, plan.norm_eps);
}

void Pass::prepare_input(MatrixView<const float> input) {
  lap(&PassTimes::rest_s);
  backend.prepare(input);
  lap(&PassTimes::weights_s);
}

void Pass::multiply(std::span<const Product> products) {
  lap(&PassTimes::rest_s);
  backend.multiply(products);
  lap(&PassTimes::weights_s);
}

}  // namespace longhaul
