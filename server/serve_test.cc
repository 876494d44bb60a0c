// A whole server in this process, over the loopback: answers are what the engine says alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <latch>

#include "server/serve_fixture.h"

namespace longhaul {
namespace {

TEST_F(Serve, SaysWhatItIs) {
  start();
  EXPECT_EQ(get(port_, "/health").json()["status"], "ok");
  EXPECT_EQ(get(port_, "/v1/models").json()["data"][0]["max_model_len"], kContext);
  EXPECT_EQ(get(port_, "/models/tiny").json()["root"], "tiny");
  EXPECT_EQ(get(port_, "/v1/models/other").status, 404U);
  EXPECT_EQ(get(port_, "/props").json()["default_generation_settings"]["n_ctx"], kContext);
  EXPECT_EQ(get(port_, "/nowhere").status, 404U);
  EXPECT_EQ(get(port_, "/v1/completions").status, 405U);
  EXPECT_EQ(ask(port_, "HEAD /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").body, "");
}

TEST_F(Serve, TokensGoThereAndBack) {
  start();
  const Json ours = post(port_, "/tokenize", {{"content", "hello"}}).json();
  const Json theirs = post(port_, "/v1/tokenize", {{"prompt", "hello"}}).json();
  EXPECT_FALSE(ours.contains("count"));
  EXPECT_EQ(theirs["count"], theirs["tokens"].size());
  EXPECT_EQ(theirs["max_model_len"], kContext);
  EXPECT_EQ(post(port_, "/detokenize", {{"tokens", ours["tokens"]}}).json()["content"], "hello");
  EXPECT_EQ(post(port_, "/tokenize", {{"other", 1}}).status, 400U);
  EXPECT_EQ(post(port_, "/detokenize", {{"tokens", {99999999}}}).status, 400U);
}

TEST_F(Serve, ACompletionIsWhatTheEngineSaysAlone) {
  start();
  for (const uint64_t seed : {2U, 3U}) {
    const Json body = request_of(100, 20, seed);
    const GenerateResult expected = alone(body);
    const TestReply reply = post(port_, "/v1/completions", body);
    ASSERT_EQ(reply.status, 200U) << reply.body;
    const Json json = reply.json();
    EXPECT_EQ(json["object"], "text_completion");
    EXPECT_EQ(json["choices"][0]["text"], expected.text);
    EXPECT_EQ(json["choices"][0]["finish_reason"], "length");
    EXPECT_EQ(json["usage"]["prompt_tokens"], 100);
    EXPECT_EQ(json["usage"]["completion_tokens"], 20);
  }
}

TEST_F(Serve, AStreamIsTheSameText) {
  start();
  Json body = request_of(100, 30, 3);
  const GenerateResult expected = alone(body);
  body["stream"] = true;
  const TestReply plain = post(port_, "/v1/completions", body);
  EXPECT_NE(plain.head.find("text/event-stream"), std::string::npos);
  EXPECT_EQ(streamed_text(plain), expected.text);
  EXPECT_EQ(plain.other_lines(), std::vector<std::string>{"data: [DONE]"});
  const auto events = plain.events();
  ASSERT_GT(events.size(), 3U);
  for (size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i]["id"], events[0]["id"]);
    EXPECT_EQ(events[i]["created"], events[0]["created"]);
    EXPECT_FALSE(events[i].contains("usage"));
    EXPECT_EQ(events[i]["choices"][0]["finish_reason"].is_null(), i + 1 < events.size());
  }
  body["stream_options"] = {{"include_usage", true}};
  const Json last = post(port_, "/v1/completions", body).events().back();
  EXPECT_TRUE(last["choices"].empty());
  EXPECT_EQ(last["usage"]["completion_tokens"], 30);
  EXPECT_EQ(last["usage"]["prompt_tokens_details"]["cached_tokens"], 99);
}

TEST_F(Serve, AnswersAreOfTheGrammarAsked) {
  start();
  Json body = {{"prompt", random_tokens(60, 3)}, {"max_tokens", 200}, {"temperature", 1.0}};
  body["grammar"] = "root ::= \"yes\" | \"no\"";
  const Json choice = post(port_, "/v1/completions", body).json()["choices"][0];
  EXPECT_TRUE(choice["text"] == "yes" || choice["text"] == "no") << choice;
  EXPECT_EQ(choice["finish_reason"], "stop");
  body["stream"] = true;
  const std::string streamed = streamed_text(post(port_, "/v1/completions", body));
  EXPECT_TRUE(streamed == "yes" || streamed == "no") << streamed;
}

// Members come in the order of the schema as it was sent, which is not that of their names.
TEST_F(Serve, AnswersAreOfTheSchemaAsked) {
  start();
  const std::string sent = R"({"prompt": [5, 6, 7], "max_tokens": 400, "temperature": 1,
      "response_format": {"type": "json_schema", "json_schema": {"name": "pair", "strict": true,
      "schema": {"type": "object", "additionalProperties": false, "required": ["first", "second"],
      "properties": {"second": {"enum": [1, 2]}, "first": {"type": "boolean"}}}}}})";
  const TestReply reply = ask(port_, post_text("/v1/completions", sent));
  ASSERT_EQ(reply.status, 200U) << reply.body;
  const std::string text = reply.json()["choices"][0]["text"];
  const Json json = Json::parse(text, nullptr, false);
  ASSERT_TRUE(json.is_object()) << text;
  EXPECT_EQ(json.size(), 2U);
  EXPECT_LT(text.find("second"), text.find("first"));
}

TEST_F(Serve, WhatIsWrongWithASchemaIsSaid) {
  start();
  Json body = {{"prompt", "a"}};
  body["json_schema"] = {{"type", "object"}, {"properties", {{"a", {{"not", Json::object()}}}}}};
  const TestReply unsupported = post(port_, "/v1/completions", body);
  EXPECT_EQ(unsupported.status, 501U);
  EXPECT_EQ(unsupported.json()["error"]["param"], "json_schema");
  EXPECT_NE(unsupported.body.find("#/properties/a/not"), std::string::npos) << unsupported.body;
  body.erase("json_schema");
  body["grammar"] = "root ::= [";
  const TestReply bad = post(port_, "/v1/completions", body);
  EXPECT_EQ(bad.status, 400U);
  EXPECT_EQ(bad.json()["error"]["param"], "grammar");
}

TEST_F(Serve, SamplesOfAPromptAreThoseOfTheirSeeds) {
  start();
  Json body = request_of(100, 12, 5);
  body["n"] = 3;
  const Json reply = post(port_, "/v1/completions", body).json();
  ASSERT_EQ(reply["choices"].size(), 3U);
  EXPECT_EQ(reply["usage"]["prompt_tokens"], 100);
  for (uint64_t i = 0; i < 3; ++i) {
    body["seed"] = 5 + i;
    EXPECT_EQ(reply["choices"][i]["index"], i);
    EXPECT_EQ(reply["choices"][i]["text"], alone(body).text);
  }
  EXPECT_EQ(metric("vllm:prefix_cache_hits"), std::to_string(2 * 99));
}

TEST_F(Serve, SixteenStreamsAreWhatEachIsAlone) {
#ifdef __SANITIZE_THREAD__
  constexpr size_t kStreams = 6, kTokens = 12;
#else
  constexpr size_t kStreams = 16, kTokens = 40;
#endif
  constexpr const char* kModes[] = {"dense", "exact", "resa", "sparse"};
  start(parallel(8));  // half of them wait for their turn
  std::vector<std::string> expected(kStreams), found(kStreams);
  std::vector<Json> bodies;
  for (size_t i = 0; i < kStreams; ++i) {
    Json& body = bodies.emplace_back(request_of(150 + 11 * i, kTokens, i));
    body["longhaul"] = {{"attention", kModes[i % 4]}, {"min_blocks", 4}, {"sparse_ratio", 0.05}};
    expected[i] = alone(body).text;
    body["stream"] = i % 3 != 0;
  }
  std::latch start_line(kStreams);
  std::vector<std::jthread> threads;
  for (size_t i = 0; i < kStreams; ++i) {
    threads.emplace_back([&, i] {
      start_line.arrive_and_wait();
      const TestReply reply = post(port_, "/v1/completions", bodies[i]);
      found[i] =
          i % 3 != 0 ? streamed_text(reply) : reply.json()["choices"][0]["text"].get<std::string>();
    });
  }
  threads.clear();
  EXPECT_EQ(found, expected);
}

TEST_F(Serve, LogprobsOfAPromptAndItsAnswer) {
  start();
  Json body = request_of(40, 3, 2);
  body["echo"] = true;
  body["cache_prompt"] = false;
  body["logprobs"] = 2;
  const Json choice = post(port_, "/v1/completions", body).json()["choices"][0];
  const Json logprobs = choice["logprobs"];
  ASSERT_EQ(logprobs["tokens"].size(), 43U);
  EXPECT_TRUE(logprobs["token_logprobs"][0].is_null());
  for (size_t i = 1; i < 43; ++i) EXPECT_LE(logprobs["token_logprobs"][i], 0.0);
  // Greedy: the token that was drawn is the likeliest.
  for (size_t i = 40; i < 43; ++i) {
    double most = -1e30;
    for (const Json& value : logprobs["top_logprobs"][i])
      most = std::max(most, value.get<double>());
    EXPECT_EQ(logprobs["token_logprobs"][i], most);
  }
  // The answer's are those of a request without echo, and of one that built on a kept prompt.
  body["echo"] = false;
  body["cache_prompt"] = true;
  for (int turn = 0; turn < 2; ++turn) {
    const Json again = post(port_, "/v1/completions", body).json();
    EXPECT_EQ(again["usage"]["prompt_tokens_details"]["cached_tokens"], turn * 39);
    const Json found = again["choices"][0]["logprobs"]["token_logprobs"];
    for (size_t i = 0; i < 3; ++i) EXPECT_EQ(found[i], logprobs["token_logprobs"][40 + i]);
  }
}

TEST_F(Serve, ATurnBuildsOnTheLastOneAndSaysTheSame) {
  start();
  for (const char* mode : {"dense", "exact", "sparse", "resa"}) {
    Json first = request_of(200, 40, 8);
    first["longhaul"] = {{"attention", mode}, {"min_blocks", 4}, {"sparse_ratio", 0.05}};
    first["logprobs"] = 0;
    const GenerateResult answer = alone(first);
    ASSERT_EQ(post(port_, "/v1/completions", first).status, 200U);
    Json second = first;
    for (const int32_t token : answer.tokens) second["prompt"].push_back(token);
    for (const int32_t token : random_tokens(30, 9)) second["prompt"].push_back(token);
    const GenerateResult expected = alone(second);
    const Json reply = post(port_, "/v1/completions", second).json();
    EXPECT_EQ(reply["choices"][0]["text"], expected.text) << mode;
    const size_t n_cached = reply["usage"]["prompt_tokens_details"]["cached_tokens"];
    // What sparse steps left is read again.
    EXPECT_GE(n_cached, std::string(mode) == "sparse" ? 199U : 200U) << mode;
    second["cache_prompt"] = false;
    const Json uncached = post(port_, "/v1/completions", second).json();
    EXPECT_EQ(uncached["usage"]["prompt_tokens_details"]["cached_tokens"], 0);
    EXPECT_EQ(reply["choices"][0]["logprobs"], uncached["choices"][0]["logprobs"]) << mode;
    server_.reset();
    start();
  }
}

}  // namespace
}  // namespace longhaul
