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

// Pages hold 256 tokens; there are three of them.
std::unique_ptr<Engine> small_cache() {
  EngineOptions options;
  options.model_path = write_tiny_model({});
  options.n_threads = 2;
  options.ctx_size = 512;
  options.max_sessions = 1;
  auto engine = Engine::load(options);
  EXPECT_TRUE(engine) << (engine ? "" : engine.error().message);
  return engine ? std::move(*engine) : nullptr;
}

class FullCache : public testing::TestWithParam<AttentionMode> {};

// Another session takes the last pages after a few tokens; the text ends at token 256, where it
// needs one.
TEST_P(FullCache, LeavesFinalTokensAndASessionThatGoesOn) {
  const auto prompt = random_tokens(250, 4);
  auto request = request_of(GetParam(), 40, prompt);
  std::vector<int32_t> alone;
  {
    const auto engine = small_cache();
    alone = engine->new_session()->generate(request)->tokens;
    ASSERT_EQ(alone.size(), 40U);
  }
  const auto engine = small_cache();
  Session session = engine->new_session().value();
  Session other = engine->new_session().value();
  request.on_progress = [&](size_t, size_t, size_t generated) {
    if (generated == 3) {
      EXPECT_TRUE(other.fill_random(512, 1));
    }
    return true;
  };
  const auto result = session.generate(request);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kOutOfMemory);
  EXPECT_NE(result.error().message.find("full"), std::string::npos) << result.error().message;

  // The prompt and what was final: a beginning of the text it would have been.
  const std::vector<int32_t> held(session.tokens().begin(), session.tokens().end());
  ASSERT_GE(held.size(), prompt.size() + 3);
  EXPECT_TRUE(std::equal(prompt.begin(), prompt.end(), held.begin()));
  EXPECT_TRUE(std::equal(held.begin() + 250, held.end(), alone.begin()));

  // Still no room: an error again, and no more than that. (In the other modes a prompt would have
  // what sparse steps left computed again.)
  request.on_progress = nullptr;
  if (GetParam() == AttentionMode::kDense || GetParam() == AttentionMode::kExact) {
    request.prompt = {1, 2, 3, 4, 5, 6, 7, 8};
    EXPECT_FALSE(session.generate(request));
    session.truncate(held.size());
  }

  // With room it goes on as if nothing had happened.
  other.truncate(0);
  request.prompt.clear();
  request.max_tokens = 40 - (session.tokens().size() - 250);
  const auto rest = session.generate(request);
  ASSERT_TRUE(rest) << rest.error().message;
  EXPECT_TRUE(std::equal(alone.begin(), alone.end(), session.tokens().begin() + 250));
}

INSTANTIATE_TEST_SUITE_P(Modes, FullCache,
                         testing::Values(AttentionMode::kDense, AttentionMode::kSparse,
                                         AttentionMode::kResa, AttentionMode::kExact),
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
