// Answers as clients get them, from texts that are given: no engine.
#include <gtest/gtest.h>

#include "server/answer_fixture.h"
#include "server/choice_shapes.h"

namespace longhaul {
namespace {

using Json = nlohmann::json;

constexpr const char* kText = kSaidText;

TestReply answer_to(bool is_stream, const std::string& text, size_t n_bytes, FinishReason reason,
                    const std::string& id = "id") {
  return answer_of(make_chat_shape("model", {id, 5}), is_stream, text, n_bytes,
                   text_over(text, reason));
}

// A message put together as clients do it, which insists on what they rely on.
Json message_of(const TestReply& reply) {
  Json message = {{"role", "assistant"}, {"content", nullptr}};
  for (const Json& event : reply.events()) {
    const Json& delta = event["choices"][0]["delta"];
    for (const char* field : {"content", "reasoning_content"}) {
      if (!delta.contains(field) || delta[field].is_null()) continue;
      const std::string before = message.contains(field) && message[field].is_string()
                                     ? message[field].get<std::string>()
                                     : std::string();
      message[field] = before + delta[field].get<std::string>();
    }
    for (const Json& piece : delta.value("tool_calls", Json::array())) {
      const size_t index = piece["index"];
      Json& calls = message["tool_calls"];
      if (index == calls.size()) {
        EXPECT_EQ(piece["type"], "function");
        EXPECT_EQ(piece["function"]["arguments"], "");
        calls.push_back(
            {{"id", piece["id"]}, {"type", "function"}, {"function", piece["function"]}});
        continue;
      }
      EXPECT_EQ(piece.size(), 2U);
      EXPECT_EQ(piece["function"].size(), 1U);
      Json& arguments = calls.at(index)["function"]["arguments"];
      arguments = arguments.get<std::string>() + piece["function"]["arguments"].get<std::string>();
    }
  }
  return message;
}

TEST(Answer, CallsWholeAndStreamed) {
  const Json choice = answer_to(false, kText, 0, FinishReason::kStop).json()["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
  Json message = choice["message"];
  EXPECT_EQ(message["content"], "I look.");
  EXPECT_EQ(message["reasoning_content"], "Hm.");
  ASSERT_EQ(message["tool_calls"].size(), 2U);
  EXPECT_EQ(message["tool_calls"][0]["type"], "function");
  EXPECT_EQ(message["tool_calls"][0]["function"],
            Json({{"name", "look"}, {"arguments", R"({"q": "x", "n": 2})"}}));
  EXPECT_FALSE(message["tool_calls"][0].contains("index"));
  EXPECT_NE(message["tool_calls"][0]["id"], message["tool_calls"][1]["id"]);
  message.erase("refusal");
  for (const size_t n_bytes : {1, 3, 7, 1000}) {
    const TestReply reply = answer_to(true, kText, n_bytes, FinishReason::kStop);
    EXPECT_EQ(message_of(reply), message) << n_bytes;
    EXPECT_EQ(reply.events().back()["choices"][0]["finish_reason"], "tool_calls");
  }
}

TEST(Answer, IdsOfCallsAreThoseOfTheAnswer) {
  const auto id = [](bool is_stream, const std::string& answer) {
    const TestReply reply = answer_to(is_stream, kText, 5, FinishReason::kStop, answer);
    const Json message = is_stream ? message_of(reply) : reply.json()["choices"][0]["message"];
    return message["tool_calls"][1]["id"].get<std::string>();
  };
  EXPECT_EQ(id(true, "a"), id(true, "a"));
  EXPECT_EQ(id(true, "a"), id(false, "a"));
  EXPECT_NE(id(true, "a"), id(true, "b"));
  EXPECT_EQ(id(true, "a").size(), 9U);
}

TEST(Answer, TokensOfReasoningAreCounted) {
  const std::string marks = "<think>\nHm.\n</think>";
  const auto n_reasoning = [](const std::string& text) {
    const Json usage = answer_to(false, text, 0, FinishReason::kLength).json()["usage"];
    EXPECT_EQ(usage["completion_tokens"], text.size());
    return usage["completion_tokens_details"]["reasoning_tokens"].get<size_t>();
  };
  EXPECT_EQ(n_reasoning(kText), marks.size());
  EXPECT_EQ(n_reasoning(marks.substr(0, 12)), 12U);  // it did not end
  EXPECT_EQ(n_reasoning("Hm. </think>"), 0U);
}

// A BOS that was put before the prompt is a token of it and no part of its text.
TEST(Answer, OffsetsAreThoseInTheText) {
  for (const std::string first : {"<s>", "He"}) {
    const auto client = std::make_shared<SaidToClient>();
    AnswerOptions options;
    options.has_logprobs = true;
    const auto answer =
        std::make_shared<Answer>(client, make_text_shape("model", {"id", 5}), options, 1);
    const std::string echo = first == "He" ? "Hello" : "llo";
    const auto choice = answer->choice(0, echo, true);
    for (const std::string& text : {first, std::string("llo")}) {
      NamedToken token{.token = {}, .text = text};
      token.has_logprob = text != first;
      choice->on_prompt_token(token);
    }
    choice->on_token({.token = {}, .text = "!"});
    choice->on_end(text_over("!"));
    const Json found = client->said_.json()["choices"][0];
    EXPECT_EQ(found["text"], echo + "!");
    const size_t n = first == "He" ? 2 : 0;
    EXPECT_EQ(found["logprobs"]["text_offset"], Json({0, n, n + 3})) << first;
  }
}

TEST(Answer, WhatIsNoCallIsContent) {
  const std::string text = "Look: <tool_call>{no}</tool_call> ";
  const Json choice = answer_to(false, text, 0, FinishReason::kStop).json()["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_EQ(choice["message"]["content"], text);
  EXPECT_FALSE(choice["message"].contains("tool_calls"));
  EXPECT_EQ(message_of(answer_to(true, text, 2, FinishReason::kStop))["content"], text);
}

TEST(Answer, ACallThatIsCutOffIsOneOfLength) {
  const std::string text = R"(<tool_call>{"name": "look", "arguments": {"q": "x)";
  const Json choice = answer_to(false, text, 0, FinishReason::kLength).json()["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "length");
  EXPECT_TRUE(choice["message"]["content"].is_null());
  EXPECT_EQ(choice["message"]["tool_calls"][0]["function"]["arguments"], R"({"q": "x)");
}

}  // namespace
}  // namespace longhaul
