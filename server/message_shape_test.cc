#include "server/message_shape.h"

#include <gtest/gtest.h>

#include "base/result.h"
#include "server/answer_fixture.h"

namespace longhaul {
namespace {

using Json = nlohmann::json;

TestReply answer_to(bool is_stream, const std::string& text, size_t n_bytes,
                    const TextOutcome& outcome) {
  return answer_of(make_message_shape("model", {"id", 5}), is_stream, text, n_bytes, outcome);
}

// A message put together from its stream as clients do it.
Json message_from(const TestReply& reply) {
  Json message;
  std::string input;
  bool is_open = false;
  for (const Json& event : reply.events()) {
    const std::string type = event["type"];
    if (type == "message_start") {
      message = event["message"];
    } else if (type == "content_block_start") {
      EXPECT_FALSE(std::exchange(is_open, true));
      EXPECT_EQ(event["index"], message["content"].size());
      message["content"].push_back(event["content_block"]);
      input.clear();
    } else if (type == "content_block_delta") {
      EXPECT_TRUE(is_open);
      EXPECT_EQ(event["index"], message["content"].size() - 1);
      Json& block = message["content"].back();
      const Json& delta = event["delta"];
      if (delta["type"] == "input_json_delta") {
        input += delta["partial_json"].get<std::string>();
        continue;
      }
      const std::string field = block["type"];  // "text" in text, "thinking" in thinking
      EXPECT_EQ(delta["type"], field + "_delta");
      block[field] = block[field].get<std::string>() + delta[field].get<std::string>();
    } else if (type == "content_block_stop") {
      EXPECT_TRUE(std::exchange(is_open, false));
      Json& block = message["content"].back();
      if (block["type"] == "tool_use") {
        EXPECT_EQ(block["input"], Json::object());
        block["input"] = Json::parse(input);
      }
    } else if (type == "message_delta") {
      message.update(event["delta"]);
      message["usage"] = event["usage"];
    }
  }
  EXPECT_FALSE(is_open);
  return message;
}

TEST(MessageShape, BlocksWholeAndStreamed) {
  const Json whole = answer_to(false, kSaidText, 0, text_over(kSaidText)).json();
  EXPECT_EQ(whole["id"], "msg_id");
  EXPECT_EQ(whole["type"], "message");
  EXPECT_EQ(whole["stop_reason"], "tool_use");
  const Json& content = whole["content"];
  ASSERT_EQ(content.size(), 4U) << whole;
  EXPECT_EQ(content[0], Json({{"type", "thinking"}, {"thinking", "Hm."}, {"signature", ""}}));
  EXPECT_EQ(content[1], Json({{"type", "text"}, {"text", "I look."}}));
  EXPECT_EQ(content[2]["type"], "tool_use");
  EXPECT_EQ(content[2]["name"], "look");
  EXPECT_EQ(content[2]["input"], Json({{"q", "x"}, {"n", 2}}));
  EXPECT_NE(content[2]["id"], content[3]["id"]);
  EXPECT_EQ(whole["usage"]["input_tokens"], 4);  // of 7, without the 3 that were kept
  EXPECT_EQ(whole["usage"]["cache_read_input_tokens"], 3);
  for (const size_t n_bytes : {1, 3, 7, 1000})
    EXPECT_EQ(message_from(answer_to(true, kSaidText, n_bytes, text_over(kSaidText))), whole)
        << n_bytes;
}

TEST(MessageShape, EventsComeInTheirOrder) {
  const TestReply reply = answer_to(true, "Hello", 5, text_over("Hello"));
  const std::vector<std::string> expected = {
      "event: message_start",       "event: ping",
      "event: content_block_start", "event: content_block_delta",
      "event: content_block_stop",  "event: message_delta",
      "event: message_stop"};
  EXPECT_EQ(reply.other_lines(), expected);
  EXPECT_EQ(reply.events()[0]["message"]["usage"]["input_tokens"], 7);
}

TEST(MessageShape, SaysWhyItStopped) {
  const auto reason = [](const TextOutcome& outcome) {
    return answer_to(false, "", 0, outcome).json()["stop_reason"];
  };
  EXPECT_EQ(reason(text_over("Hello")), "end_turn");
  EXPECT_EQ(reason(text_over("Hello", FinishReason::kLength)), "max_tokens");
  TextOutcome stopped = text_over("Hello");
  stopped.stop_text = " x";
  EXPECT_EQ(reason(stopped), "stop_sequence");
  EXPECT_EQ(message_from(answer_to(true, "Hello", 2, stopped))["stop_sequence"], " x");
}

TEST(MessageShape, ArgumentsThatAreNoObjectAreKept) {
  const std::string text = R"(<tool_call>{"name": "look", "arguments": {"q": "x)";
  const Json whole = answer_to(false, text, 0, text_over(text, FinishReason::kLength)).json();
  EXPECT_EQ(whole["content"][0]["input"], Json({{"INVALID_JSON", R"({"q": "x)"}}));
  EXPECT_EQ(whole["stop_reason"], "max_tokens");
}

TEST(MessageShape, ErrorsAreAnthropics) {
  const TextOutcome broken{.result = make_error(ErrorCode::kIo, "oh")};
  const Json expected = {{"type", "error"}, {"error", {{"type", "api_error"}, {"message", "oh"}}}};
  EXPECT_EQ(answer_to(false, "", 0, broken).json(), expected);
  const TestReply reply = answer_to(true, "Hello", 2, broken);
  EXPECT_EQ(reply.events().back(), expected);
  EXPECT_EQ(reply.other_lines().back(), "event: error");
}

}  // namespace
}  // namespace longhaul
