#include "trainer/answer_loss.h"

#include <ATen/ATen.h>

namespace longhaul::trainer {
namespace {

using torch::Tensor;

// Weight of each kind's mean loss; answers' copies and separators are easy and count less.
double kind_weight(TargetKind kind, double text_weight) {
  switch (kind) {
    case TargetKind::kNone:
      return 0;
    case TargetKind::kText:
      return text_weight;
    case TargetKind::kPathHop:
      return 1;
    case TargetKind::kPathOther:
      return 0.3;
    case TargetKind::kSumTotal:
      return 1;
    case TargetKind::kSumOther:
      return 0.5;
    case TargetKind::kRecallValue:
      return 1;
    case TargetKind::kRecallOther:
      return 0.5;
  }
  return 0;
}

}  // namespace

Tensor answer_loss(const Batch& batch, const Tensor& hidden, const Tensor& embedding,
                   double text_weight, Totals& totals) {
  const Tensor flat = hidden.flatten(0, 1);
  Tensor loss = at::zeros({});
  for (int kind = 1; kind < kTargetKinds; ++kind) {
    std::vector<int64_t> rows, targets;
    for (size_t i = 0; i < batch.kinds.size(); ++i) {
      if (batch.kinds[i] != TargetKind(kind)) continue;
      rows.push_back(static_cast<int64_t>(i));
      targets.push_back(batch.targets[i]);
    }
    if (rows.empty()) continue;
    const Tensor target = at::tensor(at::ArrayRef<int64_t>(targets));
    const Tensor picked = flat.index_select(0, at::tensor(at::ArrayRef<int64_t>(rows)));
    const Tensor logits = at::linear(picked, embedding);
    const Tensor ce = at::cross_entropy_loss(logits, target);
    loss = loss + ce * kind_weight(TargetKind(kind), text_weight);
    KindTotals& total = totals[size_t(kind)];
    const auto n = static_cast<double>(rows.size());
    total.n += n;
    total.loss += ce.item<double>() * n;
    total.n_right += at::eq(logits.argmax(-1), target).sum().item<double>();
  }
  return loss;
}

}  // namespace longhaul::trainer
