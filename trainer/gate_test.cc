// The distillation loss and its gradient against a dense computation, element by element in
// float64.
#include "trainer/gate.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "trainer/block_attention.h"
#include "trainer/gate_loss.h"
#include "trainer/gate_recall.h"

namespace longhaul::trainer {
namespace {

using torch::Tensor;

GateConfig small_config(int64_t block_size, bool qk_norm = true, bool rope = true) {
  return {.n_layers = 1,
          .n_heads = 4,
          .n_kv_heads = 2,
          .head_dim = 8,
          .block_size = block_size,
          .key_length = 6,
          .rope_theta = 100,
          .rope = rope,
          .qk_norm = qk_norm};
}

Tensor random(std::initializer_list<int64_t> sizes) { return at::randn(sizes, at::kDouble); }

LayerTrace random_trace(const GateConfig& config, int64_t n_tokens) {
  const auto q = [&] { return 2 * random({config.n_heads, n_tokens, config.head_dim}); };
  const auto k = [&] { return random({config.n_kv_heads, n_tokens, config.head_dim}); };
  return {q(), k(), q(), k()};
}

GateLayer double_gate(const GateConfig& config) {
  GateLayer gate = init_gates(config)[0];
  for (Tensor* tensor : {&gate.wq, &gate.wk, &gate.q_norm, &gate.k_norm}) {
    if (!tensor->defined()) continue;
    // Norms other than one.
    *tensor = (tensor->detach().to(at::kDouble) + 0.1 * at::randn_like(*tensor, at::kDouble))
                  .set_requires_grad(true);
  }
  return gate;
}

// The whole map of probabilities [n_heads, n_tokens, n_tokens].
Tensor dense_map(const GateConfig& config, const LayerTrace& trace) {
  const Tensor k = trace.k.repeat_interleave(config.n_group(), 0);
  const Tensor logits = at::matmul(trace.q, k.mT()) / std::sqrt(double(config.head_dim));
  const Tensor future = at::ones({trace.q.size(1), trace.q.size(1)}, at::kBool).triu(1);
  return logits.masked_fill(future, -INFINITY).softmax(-1);
}

// Row x [key_length] normed and turned, as the page writes it.
Tensor dense_finish(const GateConfig& config, Tensor x, const Tensor& norm, int64_t position) {
  if (config.qk_norm) x = x / (x.square().mean() + 1e-6).sqrt() * norm;
  if (!config.rope) return x;
  const int64_t half = config.key_length / 2;
  std::vector<Tensor> out(size_t(2 * half));
  for (int64_t j = 0; j < half; ++j) {
    const double angle =
        double(position) * std::pow(config.rope_theta, -2.0 * double(j) / double(2 * half));
    out[size_t(j)] = x[j] * std::cos(angle) - x[j + half] * std::sin(angle);
    out[size_t(j + half)] = x[j + half] * std::cos(angle) + x[j] * std::sin(angle);
  }
  return at::stack(out);
}

// The gate's query of one position and KV head: a sum over the heads of the group.
Tensor dense_query(const GateConfig& config, const GateLayer& gate, const Tensor& q, int64_t head,
                   int64_t t) {
  Tensor sum = at::zeros({config.key_length}, at::kDouble);
  for (int64_t g = 0; g < config.n_group(); ++g) {
    const Tensor w = gate.wq[head].narrow(1, g * config.head_dim, config.head_dim);
    sum = sum + at::mv(w, q[head * config.n_group() + g][t]);
  }
  return dense_finish(config, sum, gate.q_norm, t);
}

Tensor dense_key(const GateConfig& config, const GateLayer& gate, const Tensor& k, int64_t head,
                 int64_t block) {
  const Tensor keys = k[head].narrow(0, block * config.block_size, config.block_size);
  const Tensor pool = at::cat({std::get<0>(keys.max(0)), std::get<0>(keys.min(0)), keys.mean(0)});
  return dense_finish(config, at::mv(gate.wk[head], pool), gate.k_norm, block * config.block_size);
}

// The loss as the page states it (with `largest`), block by block and query by query.
Tensor dense_loss(const GateConfig& config, const GateLayer& gate, const LayerTrace& trace,
                  GateTarget kind) {
  const int64_t n_tokens = trace.q.size(1), first = first_gate_query(config, n_tokens);
  const Tensor map = dense_map(config, trace);
  Tensor total = at::zeros({}, at::kDouble);
  for (int64_t head = 0; head < config.n_kv_heads; ++head) {
    for (int64_t t = first; t < n_tokens; ++t) {
      const Tensor query = dense_query(config, gate, trace.plain_q, head, t);
      std::vector<Tensor> values, logits;
      for (int64_t i = config.sink_blocks; i < t / config.block_size; ++i) {
        const Tensor block = map.narrow(0, head * config.n_group(), config.n_group())
                                 .select(1, t)
                                 .narrow(1, i * config.block_size, config.block_size);
        values.push_back(kind == GateTarget::kLargest ? block.max()
                                                      : block.sum() / double(config.n_group()));
        logits.push_back(at::dot(query, dense_key(config, gate, trace.plain_k, head, i)) /
                         std::sqrt(double(config.key_length)));
      }
      const Tensor target = at::stack(values) / (at::stack(values).sum() + 1e-9);
      total = total + (target * (target.log() - at::stack(logits).log_softmax(0))).sum();
    }
  }
  return total / double(config.n_kv_heads * (n_tokens - first));
}

double difference(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

struct LossCase {
  int64_t block_size, n_tokens;
  bool qk_norm, rope;
  int64_t sink_blocks;
  GateTarget target;
};
class GateLoss : public testing::TestWithParam<LossCase> {};

TEST_P(GateLoss, AndGradientAreTheDenseOnes) {
  at::manual_seed(1);
  GateConfig config = small_config(GetParam().block_size, GetParam().qk_norm, GetParam().rope);
  config.sink_blocks = GetParam().sink_blocks;
  const LayerTrace trace = random_trace(config, GetParam().n_tokens);
  const GateLayer gate = double_gate(config);
  const double loss = add_gate_loss(config, gate, trace, GetParam().target, 10);
  std::vector<Tensor> gradients;
  for (const auto& [name, tensor] : named({gate})) {
    gradients.push_back(tensor.grad().clone());
    tensor.mutable_grad().reset();
  }
  const Tensor expected = dense_loss(config, gate, trace, GetParam().target);
  (10 * expected).backward();
  EXPECT_NEAR(loss, expected.item<double>(), 1e-12 * std::abs(loss) + 1e-12);
  for (size_t i = 0; i < gradients.size(); ++i) {
    const auto& [name, tensor] = named({gate})[i];
    const double scale = tensor.grad().abs().max().item<double>();
    EXPECT_GT(scale, 0) << name;
    EXPECT_LT(difference(gradients[i], tensor.grad()), 1e-11 * scale) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, GateLoss,
                         testing::Values(LossCase{4, 41, true, true, 0, GateTarget::kLargest},
                                         LossCase{4, 41, true, true, 1, GateTarget::kMass},
                                         LossCase{16, 64, true, false, 1, GateTarget::kLargest},
                                         LossCase{8, 61, false, true, 0, GateTarget::kMass},
                                         LossCase{32, 70, false, false, 0, GateTarget::kLargest}));

// More than one tile of keys and of queries, an unfinished last block.
TEST(BlockAttention, OfTilesIsTheDenseMaps) {
  at::manual_seed(2);
  const GateConfig config = small_config(16);
  const int64_t n_tokens = 1300, first = 1190, n = 110;
  const LayerTrace trace = random_trace(config, n_tokens);
  const BlockAttention found =
      attention_by_block(trace.q.narrow(1, first, n), trace.k, first, config.block_size);
  const Tensor map = at::constant_pad_nd(dense_map(config, trace).narrow(1, first, n), {0, 12})
                         .unflatten(0, {2, 2})
                         .unflatten(-1, {82, 16});
  EXPECT_LT(difference(found.largest, map.amax(-1)), 1e-13);
  EXPECT_LT(difference(found.mass, map.sum(-1)), 1e-13);
  EXPECT_LT(difference(found.mass.sum(-1), at::ones({2, 2, n}, at::kDouble)), 1e-12);
  EXPECT_EQ(found.earlier.sum(-1)[0].item<int64_t>(), 1190 / 16);
  EXPECT_EQ(found.earlier.sum(-1)[n - 1].item<int64_t>(), 1299 / 16);
}

// Wq and Wk set so that the score is q . k_mean, on keys made by hand.
TEST(Gate, OfTheMeanRanksHandMadeBlocks) {
  GateConfig config = small_config(4, false, false);
  config.n_heads = config.n_kv_heads = 1;
  config.key_length = config.head_dim;
  GateLayer gate;
  gate.wq = at::eye(8).unsqueeze(0);
  gate.wk = at::cat({at::zeros({8, 16}), at::eye(8)}, 1).unsqueeze(0);
  Tensor k = at::zeros({1, 14, 8});
  k[0][1][0] = 4;   // block 0: mean 1
  k[0][5][0] = 12;  // block 1: mean 3
  k[0][9][0] = -8;  // block 2: mean -2; block 3 is not complete
  const Tensor q = at::eye(8).narrow(0, 0, 1).unsqueeze(0);
  const Tensor logits =
      gate_logits(gate_queries(config, gate, q, at::tensor({13})), gate_keys(config, gate, k)) *
      std::sqrt(8.0);
  EXPECT_LT(difference(logits, at::tensor({1.0, 3.0, -2.0}).view({1, 1, 3})), 1e-6);
}

TEST(GateRecall, OfTheOracleIsTheHighestAndOfAllBlocksIsOne) {
  at::manual_seed(3);
  GateConfig config = small_config(4);
  config.sink_blocks = 1;
  const LayerTrace trace = random_trace(config, 90);
  const GateLayer gate = double_gate(config);
  GateRecall some, all;
  add_recall(config, gate, trace, 20, some);
  add_recall(config, gate, trace, 90, all);
  for (size_t i = 0; i < kRankings.size(); ++i) {
    EXPECT_LE(some.of(i), some.of(3) + 1e-12) << kRankings[i];
    EXPECT_GT(some.of(i), 0.1) << kRankings[i];
    EXPECT_NEAR(all.of(i), 1, 1e-12) << kRankings[i];
  }
}

}  // namespace
}  // namespace longhaul::trainer
