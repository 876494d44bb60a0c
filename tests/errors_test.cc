// What a session holds after an error, and that it can go on: a cache that fills up while a text is
// generated, keys and values that no model computed.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "longhaul/engine.h"
#include "tests/requests.h"
#include "tests/tiny_model.h"

namespace longhaul {
namespace {

// Pages hold 256 tokens; there are three of them for each session.
std::unique_ptr<Engine> small_cache(size_t max_sessions = 1) {
  EngineOptions options;
  options.model_path = write_tiny_model({});
  options.n_threads = 2;
  options.ctx_size = 512;
  options.max_sessions = max_sessions;
  auto engine = Engine::load(options);
  EXPECT_TRUE(engine) << (engine ? "" : engine.error().message);
  return engine ? std::move(*engine) : nullptr;
}

// A text of two pages, of which all but the first 250 tokens are those of sparse steps.
Session stale_text(Engine& engine) {
  Session session = engine.new_session().value();
  const auto sparse = request_of(AttentionMode::kSparse, 200, random_tokens(250, 4));
  EXPECT_TRUE(session.generate(sparse));
  return session;
}

class FullCache : public testing::TestWithParam<AttentionMode> {};

// The mode computes the sparse steps' tokens again, for which it needs two pages, since forks share
// those that hold them; but one is left.
TEST_P(FullCache, LeavesFinalTokensAndASessionThatGoesOn) {
  const auto request = request_of(GetParam(), 40, {});
  std::vector<int32_t> alone;
  {
    const auto engine = small_cache();
    Session session = stale_text(*engine);
    ASSERT_TRUE(session.generate(request));
    alone.assign(session.tokens().begin(), session.tokens().end());
    ASSERT_EQ(alone.size(), 490U);
  }
  const auto engine = small_cache(2);
  Session session = stale_text(*engine);
  const Session copy = session.fork().value();
  const Session copy2 = session.fork().value();
  Session other = engine->new_session().value();
  ASSERT_TRUE(other.fill_random(256, 1));
  for (int i = 0; i < 2; ++i) {
    const auto result = session.generate(request);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::kOutOfMemory);
    EXPECT_NE(result.error().message.find("full"), std::string::npos) << result.error().message;
    // What was final is still there.
    ASSERT_EQ(session.tokens().size(), 450U);
    EXPECT_TRUE(std::equal(session.tokens().begin(), session.tokens().end(), alone.begin()));
  }

  // With room it goes on as if nothing had happened; `resa` repairs the cache elsewhere then.
  other.truncate(0);
  const auto rest = session.generate(request);
  ASSERT_TRUE(rest) << rest.error().message;
  ASSERT_EQ(session.tokens().size(), alone.size());
  if (GetParam() != AttentionMode::kResa) {
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), session.tokens().begin()));
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, FullCache,
                         testing::Values(AttentionMode::kDense, AttentionMode::kResa,
                                         AttentionMode::kExact),
                         [](const auto& test) { return std::string(to_string(test.param)); });

// A state file is the model's own; random keys and values are nobody's.
TEST(RandomFill, IsNotSaved) {
  const auto engine = small_cache();
  const std::string path = testing::TempDir() + "errors_test.state";
  std::filesystem::remove(path);
  Session session = engine->new_session().value();
  ASSERT_TRUE(session.generate(request_of(AttentionMode::kDense, 1, random_tokens(100, 2))));
  ASSERT_TRUE(session.fill_random(200, 1));
  const Status refused = session.save(path);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kBadInput);
  EXPECT_NE(refused.error().message.find("random"), std::string::npos) << refused.error().message;
  EXPECT_FALSE(std::filesystem::exists(path));
  {
    Session copy = session.fork().value();
    EXPECT_FALSE(copy.save(path));
    copy.truncate(100);  // the last token had not been run when the fill began
    EXPECT_TRUE(copy.save(path));
  }
  ASSERT_TRUE(session.restore(path));
  EXPECT_TRUE(session.save(path));
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace longhaul
