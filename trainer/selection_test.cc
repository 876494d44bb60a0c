// The bound of a block is one, selecting everything is dense attention, and planted weights look
// up.
#include "trainer/selection.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tasks/path.h"
#include "trainer/batch.h"
#include "trainer/plant.h"

namespace longhaul::trainer {
namespace {

using torch::Tensor;

TEST(BlockBounds, AreAboveEveryProductOfTheMeanQuery) {
  at::manual_seed(1);
  const Tensor q = at::randn({1, 4, 5, 64}), k = at::randn({1, 2, 48, 64});
  const Tensor mean = q.unflatten(1, {2, 2}).mean(2);
  const Tensor products = at::matmul(mean, k.mT()) / 8;  // [1, 2, 5, 48]
  const Tensor best = products.unflatten(3, {3, kSelectionBlock}).amax(-1);
  EXPECT_GE((block_bounds(q, k) - best).min().item<float>(), -1e-5);
}

TEST(SparseAttention, OfAllBlocksIsDense) {
  at::manual_seed(2);
  const Tensor q = at::randn({1, 4, 64, 64}), k = at::randn({1, 2, 64, 64});
  const Tensor v = at::randn({1, 2, 64, 64});
  const Tensor sparse = sparse_attention(q, k, v, {.ratio = 1, .first_query = 20}, nullptr);
  EXPECT_LT((sparse - dense_attention(q, k, v)).abs().max().item<float>(), 1e-5);
}

TEST(SelectionLoss, FallsWhenItsGradientIsFollowed) {
  at::manual_seed(3);
  const Tensor q = at::randn({1, 4, 64, 64}).set_requires_grad(true);
  const Tensor k = at::randn({1, 2, 64, 64});
  const Tensor queries = at::arange(40, 64).unsqueeze(0);
  const Tensor loss = selection_loss(q, k, queries);
  EXPECT_GT(loss.item<float>(), 0);
  loss.backward();
  const Tensor moved = q.detach() - 0.1 * q.grad();
  EXPECT_LT(selection_loss(moved, k, queries).item<float>(), loss.item<float>());
}

// Share of a path's look-ups that planted, untrained weights get right at 500 tokens.
double planted_accuracy(const Attention& attention) {
  at::manual_seed(4);
  const at::NoGradGuard no_grad;
  const Vocabulary vocabulary = make_vocabulary("", 0);
  ModelConfig config;
  config.vocab_size = vocabulary.size();
  ModelWeights weights = init_weights(config);
  EXPECT_TRUE(plant_lookup(config, vocabulary, weights));
  Batch batch = Batch::empty(1, 512, vocabulary);
  EXPECT_TRUE(batch.set_task(0, *make_path_task({.n_nodes = 80}, 1), kPathShape, vocabulary));
  const Tensor ids = at::tensor(at::ArrayRef<int64_t>(batch.ids)).unsqueeze(0);
  const Tensor hidden = forward(config, weights, ids, attention)[0];
  const Tensor chosen = at::linear(hidden, weights.embedding).argmax(-1);
  double n = 0, n_right = 0;
  for (size_t i = 0; i < batch.kinds.size(); ++i) {
    if (batch.kinds[i] != TargetKind::kPathHop) continue;
    n += 1;
    n_right += chosen[static_cast<int64_t>(i)].item<int64_t>() == batch.targets[i] ? 1 : 0;
  }
  EXPECT_EQ(n, 80);
  return n_right / n;
}

TEST(PlantedWeights, LookUpDenselyAndInSelectedBlocks) {
  const double dense = planted_accuracy([](int64_t, const Tensor& q, const Tensor& k,
                                           const Tensor& v) { return dense_attention(q, k, v); });
  EXPECT_GT(dense, 0.6);  // by chance: one in eighty
  // Four blocks of 32 are too few for most bounds of dense codes.
  const double sparse =
      planted_accuracy([](int64_t, const Tensor& q, const Tensor& k, const Tensor& v) {
        return sparse_attention(q, k, v, {.ratio = 0.1, .min_blocks = 4}, nullptr);
      });
  EXPECT_GT(sparse, dense - 0.1);
}

TEST(PlantedWeights, RefuseAModelTheyDoNotFit) {
  const Vocabulary vocabulary = make_vocabulary("", 0);
  ModelConfig config{.d_model = 64};
  ModelWeights weights;
  const Status status = plant_lookup(config, vocabulary, weights);
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("d-model 64"), std::string::npos);
}

}  // namespace
}  // namespace longhaul::trainer
