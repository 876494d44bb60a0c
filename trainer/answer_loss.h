// The loss of a batch by what each position is judged by.
#pragma once

#include <torch/types.h>

#include <array>

#include "trainer/batch.h"

namespace longhaul::trainer {

// What a run of batches gave for one kind of target, summed over positions.
struct KindTotals {
  double n = 0, loss = 0, n_right = 0;
  double mean_loss() const { return n > 0 ? loss / n : 0; }
  double accuracy() const { return n > 0 ? n_right / n : 0; }
};
using Totals = std::array<KindTotals, kTargetKinds>;  // by TargetKind

// The mean cross entropy of every kind's positions, weighted and summed; adds losses and right
// choices to `totals`. hidden [n_rows, length, d_model], embedding [vocab_size, d_model];
// `text_weight` is that of text, a look-up's is 1.
torch::Tensor answer_loss(const Batch& batch, const torch::Tensor& hidden,
                          const torch::Tensor& embedding, double text_weight, Totals& totals);

}  // namespace longhaul::trainer
