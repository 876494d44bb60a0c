// The look-up model at 131,073 tokens: 65,536 distinct pairs, walked by sparse look-ups that read a
// tenth of the cache.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "longhaul/engine.h"
#include "tests/lookup_model.h"

namespace longhaul {
namespace {

TEST(LookupLong, WalksA128KPrompt) {
  LookupSpec spec;
  spec.n_nodes = 65536;
  const std::string path = fmt::format("{}lookup-long-{}.gguf", testing::TempDir(), getpid());
  ASSERT_TRUE(write_lookup_model(spec, path).has_value());
  const LookupWalk walk = make_lookup_walk(spec, 65536, 100, 1);
  ASSERT_EQ(walk.prompt.size(), 131074U);
  {
    EngineOptions options;
    options.model_path = path;
    options.n_threads = 2;
    options.ctx_size = 132096;
    options.max_sessions = 2;
    options.k_type = options.v_type = KvType::kQ8_0;
    auto engine = Engine::load(options);
    ASSERT_TRUE(engine.has_value()) << engine.error().message;
    auto session = (*engine)->new_session();
    ASSERT_TRUE(session.has_value()) << session.error().message;
    // One prefill serves all modes: each turn forks it.
    GenerateRequest prefill;
    prefill.prompt.assign(walk.prompt.begin(), walk.prompt.end() - 1);
    prefill.max_tokens = 0;
    ASSERT_TRUE(session->generate(prefill).has_value());
    for (const AttentionMode mode : {AttentionMode::kDense, AttentionMode::kSparse,
                                     AttentionMode::kResa, AttentionMode::kExact}) {
      auto turn = session->fork();
      ASSERT_TRUE(turn.has_value());
      GenerateRequest request;
      request.prompt = {walk.prompt.back()};
      request.max_tokens = walk.answer.size();
      request.attention.mode = mode;
      const auto result = turn->generate(request);
      ASSERT_TRUE(result.has_value()) << result.error().message;
      EXPECT_EQ(result->tokens, walk.answer) << to_string(mode);
      if (mode != AttentionMode::kDense) {
        EXPECT_LT(result->attention.blocks_read, result->attention.blocks_total / 9);
      }
    }
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace longhaul
