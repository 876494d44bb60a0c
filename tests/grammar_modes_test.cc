// Constrained output through the public API: every mode says a text of the language, and those that
// say what dense decoding says do so under a grammar.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>

#include "longhaul/engine.h"
#include "tests/requests.h"
#include "tests/tiny_model.h"

namespace longhaul {
namespace {

constexpr const char* kSchema = R"({
    "type": "object", "additionalProperties": false, "required": ["text", "list"],
    "properties": {"text": {"type": "string", "minLength": 40, "maxLength": 90},
                   "list": {"type": "array", "items": {"type": "integer"}, "minItems": 3}}})";

class GrammarModes : public testing::Test {
 protected:
  void SetUp() override {
    TinyModelSpec spec;
    spec.type = TensorType::kQ8_0;
    EngineOptions options;
    options.model_path = write_tiny_model(spec);
    options.n_threads = 1;
    options.ctx_size = 2048;
    options.max_sessions = 4;
    auto engine = Engine::load(options);
    ASSERT_TRUE(engine) << engine.error().message;
    engine_ = std::move(*engine);
  }

  static GenerateRequest request(AttentionMode mode, std::shared_ptr<const Grammar> grammar) {
    GenerateRequest request = request_of(mode, 700, random_tokens(400, 5));
    request.ignore_eos = false;
    request.grammar = std::move(grammar);
    return request;
  }

  Result<GenerateResult> generate(const GenerateRequest& request) {
    return engine_->new_session().value().generate(request);
  }

  std::unique_ptr<Engine> engine_;
};

TEST_F(GrammarModes, ExactIsDenseUnderAGrammar) {
  const auto grammar = parse_gbnf("root ::= ([a-z]{2,7} [ ,] | \"(\" root \")\"){40,}").value();
  for (const float temperature : {0.0F, 1.0F}) {
    for (const uint64_t seed : {1U, 2U}) {
      GenerateRequest dense = request(AttentionMode::kDense, grammar);
      dense.sampling.temperature = temperature;
      dense.sampling.seed = seed;
      GenerateRequest exact = dense;
      exact.attention.mode = AttentionMode::kExact;
      exact.attention.rectify_every = 8;
      const auto expected = generate(dense), found = generate(exact);
      ASSERT_TRUE(expected) << expected.error().message;
      ASSERT_TRUE(found) << found.error().message;
      EXPECT_EQ(found->tokens, expected->tokens);
      EXPECT_GT(found->attention.rectifications, 0U);
      EXPECT_GT(found->attention.drafted, found->attention.accepted);  // some were taken back
      EXPECT_TRUE(std::regex_match(found->text, std::regex("[a-z ,()]*"))) << found->text;
    }
  }
}

TEST_F(GrammarModes, EveryModeSaysATextOfTheSchema) {
  const auto grammar = grammar_of_schema(kSchema).value();
  size_t n_whole = 0;
  for (const AttentionMode mode : {AttentionMode::kDense, AttentionMode::kSparse,
                                   AttentionMode::kResa, AttentionMode::kExact}) {
    for (uint64_t seed = 0; seed < 4; ++seed) {
      GenerateRequest asked = request(mode, grammar);
      asked.sampling.temperature = seed == 0 ? 0.0F : 1.0F;
      asked.sampling.seed = seed;
      const auto result = generate(asked);
      ASSERT_TRUE(result) << result.error().message;
      if (result->finish_reason == FinishReason::kLength) continue;  // a list may go on and on
      EXPECT_EQ(result->finish_reason, FinishReason::kStop);
      const auto json = nlohmann::json::parse(result->text, nullptr, false);
      ASSERT_TRUE(json.is_object()) << result->text;
      EXPECT_EQ(json.size(), 2U);
      EXPECT_GE(json["list"].size(), 3U);
      ++n_whole;
    }
  }
  EXPECT_GT(n_whole, 6U);
}

TEST_F(GrammarModes, WhereOnlyTheEndIsLeftTheTextEnds) {
  GenerateRequest asked = request(AttentionMode::kDense, parse_gbnf("root ::= \"yes\"").value());
  Session session = engine_->new_session().value();
  // Every call begins a new answer, of any grammar.
  for (int i = 0; i < 2; ++i) {
    const auto result = session.generate(asked);
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(result->text, "yes");
    EXPECT_EQ(result->finish_reason, FinishReason::kStop);
    asked.prompt = {5};
  }
  asked.grammar = nullptr;
  asked.max_tokens = 3;
  EXPECT_TRUE(session.generate(asked));
}

TEST_F(GrammarModes, BiasAndGrammarTogetherMayLeaveNothing) {
  GenerateRequest asked = request(AttentionMode::kDense, parse_gbnf("root ::= \"a\"").value());
  asked.sampling.logit_bias = {{'a', -std::numeric_limits<float>::infinity()}};
  const auto result = generate(asked);
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("answer must go on with"), std::string::npos)
      << result.error().message;
}

TEST_F(GrammarModes, IgnoringTheEndIsRefused) {
  GenerateRequest asked = request(AttentionMode::kDense, parse_gbnf("root ::= \"a\"").value());
  asked.ignore_eos = true;
  const auto result = generate(asked);
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("ignore_eos"), std::string::npos);
}

}  // namespace
}  // namespace longhaul
