#include "server/api_request.h"

#include <gtest/gtest.h>

namespace longhaul {
namespace {

using Json = nlohmann::json;

GenerateRequest defaults() {
  GenerateRequest request;
  request.max_tokens = 9;
  request.sampling.temperature = 0.5F;
  return request;
}

ApiRequest completion(const Json& body) {
  auto request = parse_completion(body, defaults());
  EXPECT_TRUE(request) << request.error().as_error().message;
  return request.value_or(ApiRequest());
}

ApiRequest chat(const Json& body) {
  auto request = parse_chat(body, defaults());
  EXPECT_TRUE(request) << request.error().as_error().message;
  return request.value_or(ApiRequest());
}

TEST(ApiRequest, PromptsComeInFourShapes) {
  EXPECT_EQ(completion({{"prompt", "a"}}).prompts.at(0).text, "a");
  EXPECT_EQ(completion({{"prompt", {"a", "b"}}}).prompts.at(1).text, "b");
  EXPECT_EQ(completion(Json::parse(R"({"prompt": [1, 2]})")).prompts.at(0).tokens,
            (std::vector<int32_t>{1, 2}));
  const auto lists = completion(Json::parse(R"({"prompt": [[1], [2, 3]], "n": 2})"));
  EXPECT_EQ(lists.prompts.at(1).tokens, (std::vector<int32_t>{2, 3}));
  EXPECT_EQ(lists.n_choices(), 4U);
}

TEST(ApiRequest, WhatIsNotSaidIsAsInTheDefaults) {
  const ApiRequest request = completion(
      {{"prompt", "a"}, {"max_tokens", nullptr}, {"temperature", nullptr}, {"unheard_of", 1}});
  EXPECT_EQ(request.generate.max_tokens, 9U);
  EXPECT_EQ(request.generate.sampling.temperature, 0.5F);
  EXPECT_FALSE(request.has_seed);
  EXPECT_FALSE(request.n_logprobs);
  EXPECT_TRUE(request.use_kept);
}

TEST(ApiRequest, EveryFieldArrives) {
  const ApiRequest request = completion(Json::parse(R"({
      "prompt": "a", "max_tokens": 3, "temperature": 0, "top_p": 0.9, "top_k": 40, "min_p": 0.05,
      "seed": 7, "n": 2, "stop": ["x", "y"], "presence_penalty": 0.1, "frequency_penalty": 0.2,
      "repeat_penalty": 1.1, "logit_bias": {"5": -100}, "logprobs": 2, "echo": true, "stream": true,
      "stream_options": {"include_usage": true}, "ignore_eos": true, "cache_prompt": false,
      "longhaul": {"attention": "exact", "selector": "window", "sparse_ratio": 0.2}})"));
  const SamplingOptions& sampling = request.generate.sampling;
  EXPECT_EQ(request.generate.max_tokens, 3U);
  EXPECT_EQ(sampling.temperature, 0.0F);
  EXPECT_EQ(sampling.top_p, 0.9F);
  EXPECT_EQ(sampling.top_k, 40U);
  EXPECT_EQ(sampling.min_p, 0.05F);
  EXPECT_EQ(sampling.seed, 7U);
  EXPECT_TRUE(request.has_seed);
  EXPECT_EQ(request.n, 2U);
  EXPECT_EQ(request.generate.stop, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(sampling.presence_penalty, 0.1F);
  EXPECT_EQ(sampling.frequency_penalty, 0.2F);
  EXPECT_EQ(sampling.repetition_penalty, 1.1F);
  EXPECT_EQ(sampling.logit_bias, (std::vector<std::pair<int32_t, float>>{{5, -100.0F}}));
  EXPECT_EQ(request.n_logprobs, 2U);
  EXPECT_TRUE(request.echo && request.is_stream && request.include_usage);
  EXPECT_TRUE(request.generate.ignore_eos);
  EXPECT_FALSE(request.use_kept);
  EXPECT_EQ(request.generate.attention.mode, AttentionMode::kExact);
  EXPECT_EQ(request.generate.attention.selector, "window");
  EXPECT_EQ(request.generate.attention.sparse_ratio, 0.2);
}

TEST(ApiRequest, ConversationsComeAsTextAndAsParts) {
  const ApiRequest request = chat(Json::parse(R"({"messages": [
      {"role": "developer", "content": "be brief"},
      {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
      {"role": "assistant", "content": null},
      {"role": "user", "content": "c", "name": "d"}], "logprobs": true, "top_logprobs": 3})"));
  ASSERT_EQ(request.chat.messages.size(), 4U);
  EXPECT_EQ(request.chat.messages[0].role, "system");
  EXPECT_EQ(request.chat.messages[1].content, "ab");
  EXPECT_EQ(request.chat.messages[2].content, "");
  EXPECT_EQ(request.chat.messages[3].content, "c");
  EXPECT_EQ(request.n_logprobs, 3U);
}

TEST(ApiRequest, TheSmallerOfTwoLimitsHolds) {
  const auto limit = [](const std::string& fields) {
    const std::string body = R"({"messages": [{"role": "user", "content": "a"}])" + fields + "}";
    return chat(Json::parse(body)).generate.max_tokens;
  };
  EXPECT_EQ(limit(""), 9U);
  EXPECT_EQ(limit(R"(, "max_completion_tokens": 50)"), 50U);
  EXPECT_EQ(limit(R"(, "max_tokens": 4, "max_completion_tokens": 50)"), 4U);
  EXPECT_GT(limit(R"(, "max_tokens": -1)"), 1U << 30U);
}

TEST(ApiRequest, WhatAnAnswerLooksLikeComesInManyWords) {
  const auto has_grammar = [](const std::string& fields) {
    const std::string body = R"({"messages": [{"role": "user"}], )" + fields + "}";
    return chat(Json::parse(body)).generate.grammar != nullptr;
  };
  EXPECT_FALSE(has_grammar(R"("response_format": {"type": "text"}, "grammar": "")"));
  EXPECT_TRUE(has_grammar(R"("response_format": {"type": "json_object"}, "grammar": null)"));
  EXPECT_TRUE(has_grammar(R"("response_format": {"type": "json_object", "schema": {}})"));
  EXPECT_TRUE(has_grammar(R"("response_format": {"type": "json_schema", "json_schema":
      {"name": "a", "strict": true, "schema": {"type": "integer"}}})"));
  EXPECT_TRUE(has_grammar(R"("json_schema": {"type": "integer"})"));
  EXPECT_TRUE(has_grammar(R"("guided_json": "{\"type\": \"integer\"}")"));
  EXPECT_TRUE(has_grammar(R"("grammar": "root ::= [a-z]+")"));
}

TEST(ApiRequest, RefusalsNameTheField) {
  struct Case {
    const char* body;
    const char* field;
    ErrorCode code;
  };
  constexpr auto kBad = ErrorCode::kBadInput, kCannot = ErrorCode::kUnsupported;
  const Case cases[] = {
      {R"({"messages": []})", "messages", kBad},
      {R"({"messages": [{"content": "a"}]})", "messages", kBad},
      {R"({"messages": [{"role": "user", "content": 5}]})", "messages", kBad},
      {R"({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})", "messages",
       kCannot},
      {R"({"messages": [{"role": "user"}], "n": 0})", "n", kBad},
      {R"({"messages": [{"role": "user"}], "top_p": 2})", "top_p", kBad},
      {R"({"messages": [{"role": "user"}], "logit_bias": {"x": 1}})", "logit_bias", kBad},
      {R"({"messages": [{"role": "user"}], "top_logprobs": 21})", "top_logprobs", kBad},
      {R"({"messages": [{"role": "user"}], "stop": 5})", "stop", kBad},
      {R"({"messages": [{"role": "user"}], "longhaul": {"attentoin": "exact"}})", "longhaul", kBad},
      {R"({"messages": [{"role": "user"}], "tools": [{}]})", "tools", kBad},
      {R"({"messages": [{"role": "user"}], "response_format": {"type": "structural_tag"}})",
       "response_format", kCannot},
      {R"({"messages": [{"role": "user"}], "response_format": {"type": "json_schema"}})",
       "response_format", kBad},
      {R"({"messages": [{"role": "user"}], "response_format": {"type": "json_schema",
           "json_schema": {"name": "a", "schema": {"type": "integer", "not": {}}}}})",
       "response_format", kCannot},
      {R"({"messages": [{"role": "user"}], "grammar": "root ::= other"})", "grammar", kBad},
      {R"({"messages": [{"role": "user"}], "grammar": "root ::= \"a\"",
           "response_format": {"type": "json_object"}})",
       "response_format", kBad},
      {R"({"messages": [{"role": "user"}], "grammar": "root ::= \"a\"", "ignore_eos": true})",
       "ignore_eos", kBad},
      {R"({"messages": [{"role": "user"}], "guided_regex": "a"})", "guided_regex", kCannot},
      {R"({"messages": [{"role": "user"}], "stream_options": 1})", "stream_options", kBad},
  };
  for (const auto& [body, field, code] : cases) {
    const auto request = parse_chat(Json::parse(body), defaults());
    ASSERT_FALSE(request) << body;
    EXPECT_EQ(request.error().field, field) << body;
    EXPECT_EQ(request.error().error.code, code) << body;
  }
  EXPECT_EQ(parse_completion(Json::parse(R"({"n": 2})"), defaults()).error().field, "prompt");
  EXPECT_EQ(parse_completion(Json::parse(R"({"prompt": []})"), defaults()).error().field, "prompt");
  EXPECT_EQ(parse_completion(Json::parse(R"({"prompt": [1, "a"]})"), defaults()).error().field,
            "prompt");
  // What asks for nothing passes.
  chat(Json::parse(R"({"messages": [{"role": "user"}], "tools": [], "tool_choice": "auto",
                       "response_format": {"type": "text"}, "user": "u"})"));
}

}  // namespace
}  // namespace longhaul
