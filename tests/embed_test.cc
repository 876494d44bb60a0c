// Session::embed: the states that logits are made of.
#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "longhaul/engine.h"
#include "model/model.h"
#include "tests/tiny_model.h"

namespace longhaul {
namespace {

class EmbedTest : public testing::Test {
 protected:
  static std::unique_ptr<Engine> engine(size_t prefill_chunk) {
    EngineOptions options;
    options.model_path = write_tiny_model({});
    options.n_threads = 2;
    options.prefill_chunk = prefill_chunk;
    options.max_sessions = 3;
    auto engine = Engine::load(options);
    EXPECT_TRUE(engine) << engine.error().message;
    return std::move(*engine);
  }
  static std::vector<float> embed(Engine& engine, std::span<const int32_t> tokens,
                                  Pooling pooling) {
    Session session = engine.new_session().value();
    auto embedding = session.embed(tokens, pooling);
    EXPECT_TRUE(embedding) << embedding.error().message;
    return embedding.value_or(std::vector<float>());
  }
};

TEST_F(EmbedTest, TheMeanIsThatOfTheLastStatesOfAllBeginnings) {
  const auto here = engine(64);
  const std::vector<int32_t> tokens = random_tokens(75, 1);
  std::vector<double> sum(here->model_info().d_model);
  for (size_t n = 1; n <= tokens.size(); ++n) {
    const auto last = embed(*here, std::span(tokens).first(n), Pooling::kLast);
    ASSERT_EQ(last.size(), sum.size());
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += last[i];
  }
  const auto mean = embed(*here, tokens, Pooling::kMean);
  for (size_t i = 0; i < sum.size(); ++i)
    EXPECT_EQ(mean[i], static_cast<float>(sum[i] / static_cast<double>(tokens.size()))) << i;
  EXPECT_NE(mean, embed(*here, tokens, Pooling::kLast));
}

TEST_F(EmbedTest, IsTheSameInAnyChunksAndBesideOthers) {
  const std::vector<int32_t> tokens = random_tokens(150, 2);
  const auto wide = engine(64), narrow = engine(7);
  for (const Pooling pooling : {Pooling::kMean, Pooling::kLast}) {
    const auto alone = embed(*wide, tokens, pooling);
    EXPECT_EQ(embed(*narrow, tokens, pooling), alone);
    std::vector<float> beside;
    {
      const std::jthread other([&] { (void)embed(*wide, random_tokens(200, 3), pooling); });
      beside = embed(*wide, tokens, pooling);
    }
    EXPECT_EQ(beside, alone);
  }
}

// What the last norm makes has, but for its weight, a mean square of 1.
TEST_F(EmbedTest, IsBehindTheLastNorm) {
  const std::vector<std::byte> bytes = make_tiny_model({});
  const auto file = GgufFile::parse(bytes, "tiny").value();
  ThreadPool pool(1);
  const auto model = Model::load(file, pool, 8).value();
  const Floats& weight = model->weights().output_norm;
  const auto state = embed(*engine(64), random_tokens(9, 4), Pooling::kLast);
  ASSERT_EQ(state.size(), weight.size());
  double sum = 0;
  for (size_t i = 0; i < state.size(); ++i) sum += std::pow(state[i] / weight.data()[i], 2);
  EXPECT_NEAR(sum / static_cast<double>(state.size()), 1, 1e-3);
}

TEST_F(EmbedTest, WhatCannotBeEmbeddedIsRefused) {
  const auto here = engine(64);
  Session session = here->new_session().value();
  EXPECT_FALSE(session.embed({}, Pooling::kMean));
  const std::vector<int32_t> unknown = {1, 1 << 30};
  EXPECT_FALSE(session.embed(unknown, Pooling::kMean));
  const std::vector<int32_t> tokens = random_tokens(5, 5);
  EXPECT_TRUE(session.embed(tokens, Pooling::kMean));
  EXPECT_FALSE(session.embed(tokens, Pooling::kMean));  // it is not empty any more
  std::stop_source stop;
  stop.request_stop();
  const auto stopped = here->new_session().value().embed(tokens, Pooling::kMean, stop.get_token());
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace longhaul
