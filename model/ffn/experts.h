// Mixture of experts: a router gives every row to a few of many gated feed-forwards.
#pragma once

#include <string>
#include <vector>

#include "model/ffn/gated.h"

namespace longhaul {

struct ExpertsWeights {
  MatrixPtr router;               // [n_experts, d_model]
  std::vector<MatrixPtr> w_gate;  // [n_experts] of [d_ff, d_model]
  std::vector<MatrixPtr> w_up;    // [n_experts] of [d_ff, d_model]
  std::vector<MatrixPtr> w_down;  // [n_experts] of [d_model, d_ff]
};
template <>
struct WeightsOfSpec<ExpertsSpec> {
  using Type = ExpertsWeights;
};

void visit_tensors(const ExpertsSpec& spec, size_t d_model, const std::string& prefix,
                   ExpertsWeights& weights, TensorVisitor& visitor);

// Which experts a row goes to and with what weight: from the router's logits [n_experts], which
// become their softmax, the n_active largest (the lower number of equals), in ascending order of
// their numbers.
struct ExpertChoice {
  uint32_t expert = 0;
  float weight = 0;
};
void choose_experts(const ExpertsSpec& spec, float* logits, ExpertChoice* chosen);

// Its buffers, shared by all layers that have it.
class Experts {
 public:
  Experts(const ModelPlan& plan, Backend& backend, size_t max_rows);
  // Bytes of the buffers per row.
  static size_t row_bytes(const ModelPlan& plan);

  // pass.product = the weighted sum of the experts of each row of pass.normed. An expert's weights
  // are read once for all its rows. A row's experts are added in ascending order, so that its bits
  // do not depend on the other rows.
  void run(Pass& pass, const ExpertsSpec& spec, const ExpertsWeights& weights);

 private:
  void route(Pass& pass, const ExpertsSpec& spec, const ExpertsWeights& weights);
  void run_expert(Pass& pass, const ExpertsSpec& spec, const ExpertsWeights& weights, size_t id);
  void run_row(Pass& pass, const ExpertsSpec& spec, const ExpertsWeights& weights);

  std::vector<float> logits_;          // [rows, n_experts]
  std::vector<ExpertChoice> choices_;  // [rows, n_active]
  std::vector<RowShare> shares_;       // [rows * n_active], by expert, ascending rows
  std::vector<size_t> first_share_;    // [n_experts + 1]
  std::vector<uint32_t> rows_;         // [rows] of one expert
  Floats router_;                      // [rows, n_experts]
  Floats input_;                       // [rows, d_model] of one expert
  Floats gate_;                        // [max(rows, n_active), d_ff]
  Floats up_;                          // the same
  Floats output_;                      // [max(rows, n_active), d_model]
  std::vector<Product> products_;      // [2 * n_active]
};

}  // namespace longhaul
