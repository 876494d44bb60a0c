#include "model/ffn/experts.h"

#include <algorithm>

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

Experts::Experts(const ModelPlan& plan, Backend& backend, size_t max_rows) {
  const Sizes sizes(plan);
  if (sizes.n_experts == 0) return;
  const size_t n_wide = std::max(max_rows, sizes.n_active);
  logits_.resize(max_rows * sizes.n_experts);
  choices_.resize(max_rows * sizes.n_active);
  shares_.resize(max_rows * sizes.n_active);
  first_share_.resize(sizes.n_experts + 1);
  rows_.reserve(max_rows);
  router_ = backend.floats(max_rows * sizes.n_experts);
  input_ = backend.floats(max_rows * plan.d_model);
  gate_ = backend.floats(n_wide * sizes.d_ff);
  up_ = backend.floats(n_wide * sizes.d_ff);
  output_ = backend.floats(n_wide * plan.d_model);
  products_.reserve(2 * sizes.n_active);
}

size_t Experts::row_bytes(const ModelPlan& plan) {
  const Sizes sizes(plan);
  if (sizes.n_experts == 0) return 0;
  return (2 * sizes.n_experts + 2 * plan.d_model + 2 * sizes.d_ff) * sizeof(float) +
         sizes.n_active * (sizeof(ExpertChoice) + sizeof(RowShare)) + sizeof(uint32_t);
}

void Experts::run(Pass& pass, const ExpertsSpec& spec, const ExpertsWeights& weights) {
  route(pass, spec, weights);
  pass.backend.zero(pass.product_rows());
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
  const Product router = {weights.router.get(), router_.rows(n, spec.n_experts)};
  pass.multiply({&router, 1});
  pass.backend.read(router.y, logits_.data());
  for (size_t r = 0; r < n; ++r) {
    choose_experts(spec, logits_.data() + r * spec.n_experts, choices_.data() + r * spec.n_active);
  }
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
  const size_t n = first_share_[id + 1] - first_share_[id];
  if (n == 0) return;
  const std::span<const RowShare> shares(shares_.data() + first_share_[id], n);
  rows_.clear();
  for (const RowShare& share : shares) rows_.push_back(share.row);
  const MatrixView<float> input = input_.rows(n, pass.plan.d_model);
  const MatrixView<float> gate = gate_.rows(n, spec.each.d_ff);
  const MatrixView<float> up = up_.rows(n, spec.each.d_ff);
  const MatrixView<float> output = output_.rows(n, pass.plan.d_model);
  pass.backend.gather(pass.normed_rows(), rows_, input);
  pass.prepare_input(input);
  const Product products[] = {{weights.w_gate[id].get(), gate}, {weights.w_up[id].get(), up}};
  pass.multiply(products);
  pass.backend.activate(spec.each.activation, gate, up);
  pass.prepare_input(gate);
  const Product down = {weights.w_down[id].get(), output};
  pass.multiply({&down, 1});
  pass.backend.add_shares(output, shares, pass.product_rows());
}

// A row alone: its experts read the same input, so the first two products of all are one call. The
// same numbers as above.
void Experts::run_row(Pass& pass, const ExpertsSpec& spec, const ExpertsWeights& weights) {
  const size_t n = spec.n_active;
  const MatrixView<float> gate = gate_.rows(n, spec.each.d_ff);
  const MatrixView<float> up = up_.rows(n, spec.each.d_ff);
  products_.clear();
  for (size_t i = 0; i < n; ++i) {
    const uint32_t id = choices_[i].expert;
    products_.push_back({weights.w_gate[id].get(), gate.rows(i, 1)});
    products_.push_back({weights.w_up[id].get(), up.rows(i, 1)});
  }
  pass.multiply(products_);  // the router's input still stands
  pass.backend.activate(spec.each.activation, gate, up);
  for (size_t i = 0; i < n; ++i) {
    pass.prepare_input(gate.rows(i, 1));
    const MatrixView<float> output = output_.rows(1, pass.plan.d_model);
    const Product down = {weights.w_down[choices_[i].expert].get(), output};
    pass.multiply({&down, 1});
    const RowShare share = {0, choices_[i].weight};
    pass.backend.add_shares(output, {&share, 1}, pass.product_rows());
  }
}

}  // namespace longhaul
