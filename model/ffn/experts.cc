#include "model/ffn/experts.h"

#include <algorithm>
#include <cstring>

#include "kernels/ops.h"

namespace longhaul {
namespace {

// The most that any experts of the plan need.
struct Sizes {
  size_t n_experts = 0, n_active = 0, d_ff = 0;

  explicit Sizes(const ModelPlan& plan) {
    for (const LayerSpec& layer : plan.layers) {
      const auto* spec = std::get_if<ExpertsSpec>(&layer.ffn);
      if (spec == nullptr) continue;
      n_experts = std::max(n_experts, spec->n_experts);
      n_active = std::max(n_active, spec->n_active);
      d_ff = std::max(d_ff, spec->each.d_ff);
    }
  }
};

}  // namespace

void visit_tensors(const ExpertsSpec& spec, size_t d_model, const std::string& prefix,
                   ExpertsWeights& weights, TensorVisitor& visitor) {
  const size_t n = spec.n_experts;
  visitor.router(prefix + "ffn_gate_inp.weight", n, d_model, weights.router);
  visitor.experts(prefix + "ffn_gate_exps.weight", n, spec.n_active, spec.each.d_ff, d_model,
                  weights.w_gate);
  visitor.experts(prefix + "ffn_up_exps.weight", n, spec.n_active, spec.each.d_ff, d_model,
                  weights.w_up);
  visitor.experts(prefix + "ffn_down_exps.weight", n, spec.n_active, d_model, spec.each.d_ff,
                  weights.w_down);
}

void choose_experts(const ExpertsSpec& spec, float* logits, ExpertChoice* chosen) {
  softmax_in_place(logits, spec.n_experts);
  // By insertion: n_active is small. A share that is not larger than one chosen before stands
  // behind it.
  size_t n = 0;
  for (size_t i = 0; i < spec.n_experts; ++i) {
    size_t place = n;
    while (place > 0 && logits[i] > chosen[place - 1].weight) --place;
    if (place == spec.n_active) continue;
    if (n < spec.n_active) ++n;
    for (size_t j = n - 1; j > place; --j) chosen[j] = chosen[j - 1];
    chosen[place] = {.expert = static_cast<uint32_t>(i), .weight = logits[i]};
  }
  std::sort(chosen, chosen + n,
            [](const ExpertChoice& a, const ExpertChoice& b) { return a.expert < b.expert; });
  if (!spec.normalises) return;
  float sum = 0;
  for (size_t i = 0; i < n; ++i) sum += chosen[i].weight;
  for (size_t i = 0; i < n; ++i) chosen[i].weight /= sum;
}

Experts::Experts(const ModelPlan& plan, size_t max_rows) {
  const Sizes sizes(plan);
  if (sizes.n_experts == 0) return;
  const size_t n_wide = std::max(max_rows, sizes.n_active);
  logits_ = AlignedBuffer<float>(max_rows * sizes.n_experts);
  choices_.resize(max_rows * sizes.n_active);
  shares_.resize(max_rows * sizes.n_active);
  first_share_.resize(sizes.n_experts + 1);
  input_ = AlignedBuffer<float>(max_rows * plan.d_model);
  gate_ = AlignedBuffer<float>(n_wide * sizes.d_ff);
  up_ = AlignedBuffer<float>(n_wide * sizes.d_ff);
  output_ = AlignedBuffer<float>(n_wide * plan.d_model);
  tasks_.reserve(2 * sizes.n_active);
}

size_t Experts::row_bytes(const ModelPlan& plan) {
  const Sizes sizes(plan);
  if (sizes.n_experts == 0) return 0;
  return (sizes.n_experts + 2 * plan.d_model + 2 * sizes.d_ff) * sizeof(float) +
         sizes.n_active * (sizeof(ExpertChoice) + sizeof(Share));
}

void Experts::run(Pass& pass, const ExpertsSpec& spec, const ExpertsWeights& weights) {
  route(pass, spec, weights);
  std::memset(pass.product.data(), 0, pass.n_rows * pass.plan.d_model * sizeof(float));
  if (pass.n_rows == 1) {
    run_row(pass, spec, weights);
  } else {
    for (size_t id = 0; id < spec.n_experts; ++id) run_expert(pass, spec, weights, id);
  }
}

// Sorts the rows by the experts they go to.
void Experts::route(Pass& pass, const ExpertsSpec& spec, const ExpertsWeights& weights) {
  const size_t n = pass.n_rows;
  pass.prepare_input(pass.normed_rows());
  const MatmulTask router = {&weights.router, MatrixView<float>(logits_.data(), n, spec.n_experts),
                             nullptr};
  pass.multiply({&router, 1});
  pass.for_each_row([&](size_t r, size_t) {
    choose_experts(spec, logits_.data() + r * spec.n_experts, choices_.data() + r * spec.n_active);
  });
  const std::span<const ExpertChoice> choices(choices_.data(), n * spec.n_active);
  std::fill(first_share_.begin(), first_share_.end(), size_t{0});
  for (const ExpertChoice& choice : choices) ++first_share_[choice.expert + 1];
  for (size_t id = 0; id < spec.n_experts; ++id) first_share_[id + 1] += first_share_[id];
  // Filling moves each expert's start to its end, which is the next one's start.
  for (size_t i = 0; i < choices.size(); ++i) {
    shares_[first_share_[choices[i].expert]++] = {static_cast<uint32_t>(i / spec.n_active),
                                                  choices[i].weight};
  }
  std::rotate(first_share_.begin(),
              first_share_.begin() + static_cast<std::ptrdiff_t>(spec.n_experts),
              first_share_.begin() + static_cast<std::ptrdiff_t>(spec.n_experts) + 1);
  first_share_[0] = 0;
}

// All rows of one expert.
void Experts::run_expert(Pass& pass, const ExpertsSpec& spec, const ExpertsWeights& weights,
                         size_t id) {
  const Share* shares = shares_.data() + first_share_[id];
  const size_t n = first_share_[id + 1] - first_share_[id];
  if (n == 0) return;
  const size_t d = pass.plan.d_model;
  const size_t d_ff = spec.each.d_ff;
  pass.for_each(n, Pass::kSerialRows, [&](size_t i, size_t) {
    std::memcpy(input_.data() + i * d, pass.normed.data() + shares[i].row * d, d * sizeof(float));
  });
  pass.prepare_input(MatrixView<const float>(input_.data(), n, d));
  const MatmulTask tasks[] = {
      {&weights.w_gate[id], MatrixView<float>(gate_.data(), n, d_ff), nullptr},
      {&weights.w_up[id], MatrixView<float>(up_.data(), n, d_ff), nullptr},
  };
  pass.multiply(tasks);
  pass.for_each(n, Pass::kSerialRows, [&](size_t i, size_t) {
    float* gate = gate_.data() + i * d_ff;
    activate(spec.each.activation, gate, up_.data() + i * d_ff, d_ff, gate);
  });
  pass.prepare_input(MatrixView<const float>(gate_.data(), n, d_ff));
  const MatmulTask down = {&weights.w_down[id], MatrixView<float>(output_.data(), n, d), nullptr};
  pass.multiply({&down, 1});
  pass.for_each(n, Pass::kSerialRows, [&](size_t i, size_t) {
    add(pass, shares[i].row, shares[i].weight, output_.data() + i * d);
  });
}

// A row alone: its experts read the same input, so the first two products of all are one fork and
// join. The same numbers as above.
void Experts::run_row(Pass& pass, const ExpertsSpec& spec, const ExpertsWeights& weights) {
  const size_t d = pass.plan.d_model;
  const size_t d_ff = spec.each.d_ff;
  tasks_.clear();
  for (size_t i = 0; i < spec.n_active; ++i) {
    const uint32_t id = choices_[i].expert;
    tasks_.push_back(
        {&weights.w_gate[id], MatrixView<float>(gate_.data() + i * d_ff, 1, d_ff), nullptr});
    tasks_.push_back(
        {&weights.w_up[id], MatrixView<float>(up_.data() + i * d_ff, 1, d_ff), nullptr});
  }
  pass.multiply(tasks_);  // the router's input still stands
  for (size_t i = 0; i < spec.n_active; ++i) {
    float* gate = gate_.data() + i * d_ff;
    activate(spec.each.activation, gate, up_.data() + i * d_ff, d_ff, gate);
    pass.prepare_input(MatrixView<const float>(gate, 1, d_ff));
    float* output = output_.data() + i * d;
    const MatmulTask down = {&weights.w_down[choices_[i].expert], MatrixView<float>(output, 1, d),
                             nullptr};
    pass.multiply({&down, 1});
    add(pass, 0, choices_[i].weight, output);
  }
}

// product[row] += weight * output, which is changed.
void Experts::add(Pass& pass, size_t row, float weight, float* output) const {
  const size_t d = pass.plan.d_model;
  scale_in_place(output, weight, d);
  add_in_place(pass.product.data() + row * d, output, d);
}

}  // namespace longhaul
