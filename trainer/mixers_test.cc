// The mixers as they are trained: gradients against finite differences in float64, what goes out to
// a file computes the same there, and shapes that do not fit are refused.
#include "trainer/mixers.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "model/model.h"
#include "model/state_slots.h"
#include "trainer/export.h"
#include "trainer/import.h"
#include "trainer/train.h"

namespace longhaul::trainer {
namespace {

using torch::Tensor;

const Vocabulary& small_vocabulary() {
  static const Vocabulary vocabulary = make_vocabulary("the cat sat on the mat", 4);
  return vocabulary;
}

ModelConfig tiny_config(const std::string& arch) {
  ModelConfig config{.arch = arch,
                     .n_layers = 4,
                     .d_model = 64,
                     .n_heads = arch == "diff2" ? 4 : 2,
                     .n_kv_heads = arch == "retnet" ? 2 : 1,
                     .head_dim = 32,
                     .d_ff = 64,
                     .vocab_size = small_vocabulary().size(),
                     .rope_theta = 1e4,
                     .value_dim = arch == "retnet" ? 64 : 0,
                     .window = arch == "yoco-window" ? 7 : 0};
  settle(config);
  return config;
}

class Mixer : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(All, Mixer,
                         testing::Values("retnet", "yoco", "yoco-window", "diff", "diff2", "lex"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// Weights away from their first values, where branches give nothing.
ModelWeights random_weights(const ModelConfig& config, at::ScalarType type) {
  ModelWeights weights = shaped_weights(config);
  weights.for_each([&](const std::string&, Tensor& weight) {
    weight = at::randn(weight.sizes(), at::dtype(type)) * 0.25;
    if (weight.dim() == 1) weight = weight + 1;
    weight.set_requires_grad(true);
  });
  return weights;
}

Tensor loss_of(const ModelConfig& config, const ModelWeights& weights, const Tensor& ids) {
  const Attention attention = [](int64_t, const Tensor& q, const Tensor& k, const Tensor& v) {
    return dense_attention(q, k, v);
  };
  const Tensor hidden = forward(config, weights, ids, attention);
  // Weighted, so that no sum cancels.
  return (hidden * at::linspace(0.5, 1.5, hidden.numel(), hidden.options()).view_as(hidden)).sum();
}

TEST_P(Mixer, GradientsAreFiniteDifferences) {
  at::manual_seed(3);
  const ModelConfig config = tiny_config(GetParam());
  const ModelWeights weights = random_weights(config, at::kDouble);
  const Tensor ids = at::randint(0, config.vocab_size, {2, 12});
  loss_of(config, weights, ids).backward();
  const at::NoGradGuard no_grad;
  constexpr double kStep = 1e-5;
  for (auto& [name, weight] : weights.named()) {
    ASSERT_TRUE(weight.grad().defined()) << name;
    const Tensor direction = at::randn_like(weight);
    const double expected = (weight.grad() * direction).sum().item<double>();
    const auto loss_at = [&, from = weight.clone()](double steps) {
      weight.copy_(from + steps * kStep * direction);
      const double loss = loss_of(config, weights, ids).item<double>();
      weight.copy_(from);
      return loss;
    };
    // Of the fourth order: a norm of small numbers bends.
    const double found =
        (8 * (loss_at(1) - loss_at(-1)) - (loss_at(2) - loss_at(-2))) / (12 * kStep);
    EXPECT_NEAR(found, expected, 1e-6 * (std::abs(expected) + 1)) << name;
    EXPECT_NE(expected, 0) << name;
  }
}

// A run of one step, so that a checkpoint exists; its folder.
std::string small_run(const std::string& arch) {
  TrainOptions options;
  options.model = tiny_config(arch);
  options.out = testing::TempDir() + "mixer-" + arch;
  options.n_tokens = 1;
  options.batch_tokens = 96;
  const auto status = train(options, small_vocabulary(), small_vocabulary().encode("the cat sat"));
  EXPECT_TRUE(status) << status.error().message;
  return options.out + "/checkpoint";
}

TEST_P(Mixer, ATrainedModelSaysTheSameInTheEngine) {
  const std::string folder = small_run(GetParam());
  Checkpoint trained = load_model(folder).value();
  const std::string path = testing::TempDir() + "mixer.gguf";
  const auto written =
      export_gguf({.checkpoint = folder, .path = path, .type = "F32"}, small_vocabulary());
  ASSERT_TRUE(written) << written.error().message;

  const at::NoGradGuard no_grad;
  const Tensor ids = at::randint(0, trained.config.vocab_size, {1, 40});
  const Attention attention = [](int64_t, const Tensor& q, const Tensor& k, const Tensor& v) {
    return dense_attention(q, k, v);
  };
  const auto logits_of = [&](const Checkpoint& model) {
    return at::linear(forward(model.config, model.weights, ids, attention)[0],
                      model.weights.output_matrix());
  };
  const Tensor expected = logits_of(trained);
  const auto back = import_gguf(path);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_LT((logits_of(*back) - expected).abs().max().item<double>(),
            1e-4 * expected.abs().max().item<double>());

  const GgufFile file = GgufFile::open(path).value();
  ThreadPool pool(1);
  const auto model = Model::load(file, pool, 64).value();
  const auto states = StatePool::create(state_slots(model->plan(), {.n_tokens = 64})).value();
  SequenceState sequence = states->new_sequence();
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < 40; ++i) tokens.push_back(ids[0][i].item<int32_t>());
  Step step{.state = &sequence, .tokens = tokens, .n_logits = 40};
  Tensor found = at::empty(expected.sizes());
  ASSERT_TRUE(model->run(
      step, {found.mutable_data_ptr<float>(), 40, static_cast<size_t>(trained.config.vocab_size)}));
  // Keys and values are f16, activations are rounded to 8 bits nowhere with F32 weights.
  EXPECT_LT((found - expected).abs().max().item<double>(),
            5e-3 * expected.abs().max().item<double>());
}

TEST(Mixers, RefuseWhatDoesNotFit) {
  const auto message = [](ModelConfig config) {
    const Status status = validate(config);
    return status ? "" : status.error().message;
  };
  ModelConfig config = tiny_config("diff2");
  EXPECT_EQ(message(config), "");
  config.n_heads = 3;
  EXPECT_NE(message(config).find("--heads 3"), std::string::npos);
  config = tiny_config("yoco");
  config.n_shared = 5;
  EXPECT_NE(message(config).find("--shared-layers: expected 1 to 4, found 5"), std::string::npos);
  config = tiny_config("yoco-window");
  config.window = 0;
  EXPECT_NE(message(config).find("--window"), std::string::npos);
  config.arch = "mamba";
  EXPECT_NE(message(config).find("--arch mamba: expected"), std::string::npos);
}

}  // namespace
}  // namespace longhaul::trainer
