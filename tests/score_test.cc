// Session::score: a fixed text through the modes, and the recall of selectors on the way.
#include <gtest/gtest.h>

#include <algorithm>

#include "longhaul/engine.h"
#include "sampling/logprobs.h"
#include "tests/tiny_model.h"

namespace longhaul {
namespace {

struct Scored {
  std::vector<std::vector<float>> logits;  // one per token
  std::vector<size_t> n_stale;
  std::vector<std::vector<float>> recall;
};

class ScoreTest : public testing::Test {
 protected:
  void SetUp() override {
    EngineOptions options;
    options.model_path = write_tiny_model({});
    options.selectors = {"minmax"};
    options.n_threads = 2;
    options.gates_path = write_tiny_gates(options.model_path, 4);
    options.max_sessions = 3;
    auto engine = Engine::load(options);
    ASSERT_TRUE(engine) << engine.error().message;
    engine_ = std::move(*engine);
  }

  static AttentionOptions attention(AttentionMode mode) {
    AttentionOptions options;
    options.mode = mode;
    options.sparse_ratio = 0.1;
    options.min_blocks = 4;
    options.rectify_every = 8;
    return options;
  }

  Session session_with(const std::vector<int32_t>& context) {
    auto session = engine_->new_session();
    GenerateRequest request;
    request.prompt = context;
    request.max_tokens = 0;
    EXPECT_TRUE(session->generate(request));
    return std::move(*session);
  }

  static void score(Session& session, std::vector<int32_t> tokens, const AttentionOptions& options,
                    Scored& scored, const std::vector<std::string>& recall_of = {}) {
    ScoreRequest request;
    request.tokens = std::move(tokens);
    request.attention = options;
    request.recall_of = recall_of;
    request.on_token = [&](const ScoredToken& token) {
      scored.logits.emplace_back(token.logits.begin(), token.logits.end());
      scored.n_stale.push_back(token.n_stale);
      scored.recall.emplace_back(token.recall.begin(), token.recall.end());
      return true;
    };
    const auto result = session.score(request);
    ASSERT_TRUE(result) << result.error().message;
  }

  std::unique_ptr<Engine> engine_;
  const std::vector<int32_t> context_ = random_tokens(300, 1);
  const std::vector<int32_t> text_ = random_tokens(70, 2);
};

TEST_F(ScoreTest, GenerateTellsTheLogprobsThatScoreShows) {
  for (const auto mode : {AttentionMode::kDense, AttentionMode::kExact}) {
    Session session = session_with(context_);
    std::vector<GeneratedToken> told;
    GenerateRequest request;
    request.prompt = {text_[0]};
    request.max_tokens = 30;
    request.ignore_eos = true;
    request.sampling = {.temperature = 1.0F, .seed = 3};
    request.attention = attention(mode);
    request.n_top_logprobs = 3;
    request.on_token = [&](const GeneratedToken& token) {
      told.push_back(token);
      return told.size() < 25;
    };
    const auto result = session.generate(request);
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(result->finish_reason, FinishReason::kCancelled);
    ASSERT_EQ(result->tokens.size(), 25U);
    const size_t n_prompt = context_.size() + 1;
    EXPECT_EQ(session.n_clean(), n_prompt + 24);

    session.truncate(n_prompt);
    Scored scored;
    score(session, result->tokens, attention(AttentionMode::kDense), scored);
    for (size_t i = 0; i < told.size(); ++i) {
      const auto expected = with_logprobs(scored.logits[i], result->tokens[i], 3);
      EXPECT_EQ(told[i].chosen.token, result->tokens[i]);
      EXPECT_EQ(told[i].chosen.logprob, expected.chosen.logprob) << i;
      ASSERT_EQ(told[i].top.size(), 3U);
      EXPECT_EQ(told[i].top[2].token, expected.top[2].token);
    }
  }
}

TEST_F(ScoreTest, ChunksStepsAndAFullBudgetHaveTheSameBits) {
  Scored chunks, steps, full;
  Session session = session_with(context_);
  score(session, text_, attention(AttentionMode::kDense), chunks);
  ASSERT_EQ(chunks.logits.size(), text_.size());
  EXPECT_EQ(session.tokens().size(), context_.size() + text_.size());

  session.truncate(context_.size());
  score(session, text_, attention(AttentionMode::kDense), steps, {"oracle"});
  EXPECT_EQ(chunks.logits, steps.logits);

  AttentionOptions everything = attention(AttentionMode::kSparse);
  everything.sparse_ratio = 1;
  session.truncate(context_.size());
  score(session, text_, everything, full, {"outlier"});
  EXPECT_EQ(chunks.logits, full.logits);
  EXPECT_FLOAT_EQ(full.recall[0][0], 1.0F);
}

// The text that a mode generates is, scored in that mode, the most likely at every token.
TEST_F(ScoreTest, AttendsToWhatGenerateAttendsTo) {
  for (const AttentionMode mode : {AttentionMode::kSparse, AttentionMode::kResa}) {
    auto session = engine_->new_session();
    GenerateRequest request;
    request.prompt = context_;
    request.max_tokens = 50;
    request.ignore_eos = true;
    request.attention = attention(mode);
    const auto generated = session->generate(request);
    ASSERT_TRUE(generated);

    Session again = session_with(context_);
    // The first token comes out of the prompt's dense pass.
    Scored first, scored;
    score(again, {generated->tokens.front()}, attention(AttentionMode::kDense), first);
    score(again, {generated->tokens.begin() + 1, generated->tokens.end()}, attention(mode), scored);
    for (size_t i = 0; i < scored.logits.size(); ++i) {
      const auto& logits = scored.logits[i];
      EXPECT_EQ(std::max_element(logits.begin(), logits.end()) - logits.begin(),
                generated->tokens[i + 1])
          << to_string(mode) << " " << i;
    }
  }
}

TEST_F(ScoreTest, PiecesAreTheWholeAndStaleTokensAreCounted) {
  for (const AttentionMode mode : {AttentionMode::kSparse, AttentionMode::kResa}) {
    Scored whole, pieces;
    Session one = session_with(context_);
    score(one, text_, attention(mode), whole);
    Session two = session_with(context_);
    score(two, {text_.begin(), text_.begin() + 13}, attention(mode), pieces);
    score(two, {text_.begin() + 13, text_.end()}, attention(mode), pieces);
    EXPECT_EQ(whole.logits, pieces.logits);
    EXPECT_EQ(whole.n_stale, pieces.n_stale);
    for (size_t i = 0; i < text_.size(); ++i) {
      EXPECT_EQ(whole.n_stale[i], mode == AttentionMode::kResa ? i % 8 : i);
    }
  }
}

TEST_F(ScoreTest, TheOracleBoundsEverySelector) {
  std::vector<std::string> names;
  for (const auto name : selector_names()) names.emplace_back(name);
  const auto oracle = std::find(names.begin(), names.end(), "oracle") - names.begin();
  Scored scored;
  Session session = session_with(context_);
  score(session, text_, attention(AttentionMode::kDense), scored, names);
  bool differ = false;
  for (const auto& recall : scored.recall) {
    for (const float value : recall) {
      EXPECT_GT(value, 0.0F);
      EXPECT_LE(value, recall[size_t(oracle)]);
      differ |= value < recall[size_t(oracle)];
    }
    EXPECT_LT(recall[size_t(oracle)], 1.0F);
  }
  EXPECT_TRUE(differ);
}

// Rectification makes the cache that of a dense pass; before it, and without it, sparse steps leave
// errors.
TEST_F(ScoreTest, CacheErrorsAreWhatSparseStepsLeave) {
  Scored scored;
  Session dense = session_with(context_);
  score(dense, text_, attention(AttentionMode::kDense), scored);
  const auto error = [&](AttentionMode mode, size_t first, size_t end) {
    Session session = session_with(context_);
    score(session, text_, attention(mode), scored);
    const auto found = session.cache_error(dense, context_.size() + first, context_.size() + end);
    EXPECT_TRUE(found) << found.error().message;
    return found ? *found : CacheError{};
  };
  EXPECT_GT(error(AttentionMode::kSparse, 0, 64).keys, 0);
  EXPECT_GT(error(AttentionMode::kSparse, 0, 64).values, 0);
  EXPECT_EQ(error(AttentionMode::kResa, 0, 63).keys,
            0);  // whole periods of 8, from the context's last token on
  EXPECT_EQ(error(AttentionMode::kResa, 0, 63).values, 0);
  EXPECT_GT(error(AttentionMode::kResa, 63, 69).keys, 0);
  const auto beyond = dense.cache_error(dense, 0, context_.size() + text_.size() + 1);
  ASSERT_FALSE(beyond);
  EXPECT_NE(beyond.error().message.find("371"), std::string::npos) << beyond.error().message;
}

TEST_F(ScoreTest, RefusesWhatItCannotScore) {
  const auto refused = [](Session& session, const ScoreRequest& request, const std::string& part) {
    const auto result = session.score(request);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::kBadInput);
    EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
  };
  ScoreRequest request;
  request.tokens = text_;
  auto empty = engine_->new_session();
  refused(*empty, request, "empty");
  Session session = session_with(context_);
  request.attention.mode = AttentionMode::kExact;
  refused(session, request, "exact");
  request.attention.mode = AttentionMode::kDense;
  request.recall_of = {"nosuch"};
  refused(session, request, "nosuch");
  request.recall_of = {};
  request.tokens = {-1};
  refused(session, request, "-1");
  request.tokens.assign(engine_->options().ctx_size, 1);
  refused(session, request, "context");
}

TEST_F(ScoreTest, StopsWhenAsked) {
  Session session = session_with(context_);
  for (const AttentionMode mode : {AttentionMode::kDense, AttentionMode::kSparse}) {
    ScoreRequest request;
    request.tokens = text_;
    request.attention.mode = mode;
    request.on_token = [](const ScoredToken& token) { return token.index < 3; };
    const auto result = session.score(request);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::kCancelled);
  }
}

}  // namespace
}  // namespace longhaul
