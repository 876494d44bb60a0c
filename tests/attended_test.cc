// What GenerateRequest::on_attended says of each step.
#include <gtest/gtest.h>

#include <numeric>

#include "longhaul/engine.h"
#include "tests/tiny_model.h"

namespace longhaul {
namespace {

class AttendedTest : public testing::Test {
 protected:
  void SetUp() override {
    EngineOptions options;
    options.model_path = write_tiny_model({});
    options.n_threads = 2;
    options.ctx_size = 512;
    options.max_sessions = 2;
    auto engine = Engine::load(options);
    ASSERT_TRUE(engine) << engine.error().message;
    engine_ = std::move(*engine);
  }

  GenerateRequest request(AttentionMode mode) const {
    GenerateRequest request;
    request.prompt = random_tokens(300, 1);
    request.max_tokens = 40;
    request.ignore_eos = true;
    request.attention.mode = mode;
    request.attention.min_blocks = 4;
    request.attention.sparse_ratio = 0.05;
    request.attention.rectify_every = 8;
    return request;
  }

  std::unique_ptr<Engine> engine_;
};

TEST_F(AttendedTest, SparseStepsCountTheBlocksTheyRead) {
  GenerateRequest asked = request(AttentionMode::kSparse);
  const ModelInfo& info = engine_->model_info();
  const size_t n_readers = info.n_layers * info.n_kv_heads;
  size_t n_read = 0, n_sparse = 0;
  asked.on_attended = [&](const Attended& attended) {
    if (!attended.is_sparse) return;
    ++n_sparse;
    // The token is drawn, the step was the one before it.
    ASSERT_EQ(attended.block_counts.size(), (attended.n_tokens - 2) / 16 + 1);
    EXPECT_EQ(attended.block_counts.back(), n_readers);
    for (const uint32_t count : attended.block_counts) EXPECT_LE(count, n_readers);
    n_read += std::accumulate(attended.block_counts.begin(), attended.block_counts.end(), 0U);
  };
  Session session = engine_->new_session().value();
  const auto result = session.generate(asked);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_GT(n_sparse, 30U);
  EXPECT_EQ(n_sparse, result->attention.sparse_steps);
  EXPECT_EQ(n_read, result->attention.blocks_read);
  EXPECT_LT(n_read, result->attention.blocks_total);
}

TEST_F(AttendedTest, DenseStepsReadEverything) {
  GenerateRequest asked = request(AttentionMode::kDense);
  size_t n_told = 0;
  asked.on_attended = [&](const Attended& attended) {
    ++n_told;
    EXPECT_FALSE(attended.is_sparse);
    EXPECT_TRUE(attended.block_counts.empty());
    EXPECT_EQ(attended.n_tokens, 300 + n_told);
  };
  Session session = engine_->new_session().value();
  ASSERT_TRUE(session.generate(asked));
  EXPECT_EQ(n_told, 40U);
}

TEST_F(AttendedTest, RectificationsAreToldAndChangeNoToken) {
  GenerateRequest asked = request(AttentionMode::kResa);
  Session alone = engine_->new_session().value();
  const auto expected = alone.generate(asked);
  ASSERT_TRUE(expected);
  size_t n_rectifications = 0, n_rectified = 0;
  asked.on_attended = [&](const Attended& attended) {
    EXPECT_GE(attended.n_rectifications, n_rectifications);
    EXPECT_LE(attended.n_tokens - attended.n_rectified, 9U);
    n_rectifications = attended.n_rectifications;
    n_rectified = attended.n_rectified;
  };
  Session session = engine_->new_session().value();
  const auto result = session.generate(asked);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->tokens, expected->tokens);
  EXPECT_GE(n_rectifications, 4U);
  EXPECT_GT(n_rectified, 300U);
}

}  // namespace
}  // namespace longhaul
