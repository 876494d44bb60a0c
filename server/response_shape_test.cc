#include "server/response_shape.h"

#include <gtest/gtest.h>

#include "base/result.h"
#include "server/answer_fixture.h"

namespace longhaul {
namespace {

using Json = nlohmann::json;

std::unique_ptr<AnswerShape> shape(const Json& request = Json::object()) {
  return make_response_shape({{"id", 5}, "model", request});
}

TestReply answer_to(bool is_stream, const std::string& text, size_t n_bytes,
                    FinishReason reason = FinishReason::kStop) {
  return answer_of(shape(), is_stream, text, n_bytes, text_over(text, reason));
}

std::vector<std::string> types_of(const TestReply& reply) {
  std::vector<std::string> types;
  for (const Json& event : reply.events()) types.push_back(event["type"]);
  return types;
}

// A response put together from its stream, which insists on what clients rely on: each item is
// added before its parts, and every piece belongs to what was added.
Json response_from(const TestReply& reply) {
  Json response;
  std::vector<std::string> texts;
  size_t n_events = 0;
  for (const Json& event : reply.events()) {
    const std::string type = event["type"];
    EXPECT_EQ(event["sequence_number"], n_events++);
    if (event.contains("response")) {
      response = event["response"];
    } else if (type == "response.output_item.added") {
      EXPECT_EQ(event["output_index"], texts.size());
      EXPECT_EQ(event["item"]["status"], "in_progress");
      texts.emplace_back();
    } else if (type == "response.output_item.done") {
      EXPECT_EQ(event["output_index"], texts.size() - 1);
      const Json& item = event["item"];
      EXPECT_EQ(texts.back(),
                item["type"] == "function_call" ? item["arguments"] : item["content"][0]["text"]);
    } else {
      EXPECT_EQ(event["output_index"], texts.size() - 1);
      if (type.ends_with(".delta")) texts.back() += event["delta"].get<std::string>();
      if (type.ends_with("text.done")) {
        EXPECT_EQ(event["text"], texts.back());
      }
    }
  }
  return response;
}

TEST(ResponseShape, ItemsWholeAndStreamed) {
  const Json whole = answer_to(false, kSaidText, 0).json();
  EXPECT_EQ(whole["id"], "resp_id");
  EXPECT_EQ(whole["object"], "response");
  EXPECT_EQ(whole["status"], "completed");
  const Json& output = whole["output"];
  ASSERT_EQ(output.size(), 4U) << whole;
  EXPECT_EQ(output[0]["type"], "reasoning");
  EXPECT_EQ(output[0]["content"], Json::parse(R"([{"type": "reasoning_text", "text": "Hm."}])"));
  EXPECT_EQ(output[1]["type"], "message");
  EXPECT_EQ(output[1]["role"], "assistant");
  EXPECT_EQ(output[1]["content"][0]["text"], "I look.");
  EXPECT_EQ(output[2]["type"], "function_call");
  EXPECT_EQ(output[2]["name"], "look");
  EXPECT_EQ(output[2]["arguments"], R"({"q": "x", "n": 2})");
  EXPECT_EQ(output[3]["arguments"], "{}");
  EXPECT_NE(output[2]["call_id"], output[3]["call_id"]);
  EXPECT_EQ(whole["usage"]["input_tokens"], 7);
  EXPECT_EQ(whole["usage"]["input_tokens_details"]["cached_tokens"], 3);
  EXPECT_EQ(whole["usage"]["output_tokens"], std::string(kSaidText).size());
  EXPECT_EQ(whole["usage"]["output_tokens_details"]["reasoning_tokens"], 20);
  for (const size_t n_bytes : {1, 3, 7, 1000})
    EXPECT_EQ(response_from(answer_to(true, kSaidText, n_bytes)), whole) << n_bytes;
}

TEST(ResponseShape, EventsComeInTheirOrder) {
  const std::vector<std::string> expected = {
      "response.created",           "response.in_progress",
      "response.output_item.added", "response.content_part.added",
      "response.output_text.delta", "response.output_text.done",
      "response.content_part.done", "response.output_item.done",
      "response.completed"};
  const TestReply reply = answer_to(true, "Hello", 5);
  EXPECT_EQ(types_of(reply), expected);
  // Each by its name, and nothing else.
  std::vector<std::string> names;
  for (const std::string& type : expected) names.push_back("event: " + type);
  EXPECT_EQ(reply.other_lines(), names);
}

TEST(ResponseShape, WhatIsCutOffIsIncomplete) {
  for (const bool is_stream : {false, true}) {
    const TestReply reply = answer_to(is_stream, "Hel", 2, FinishReason::kLength);
    const Json response = is_stream ? response_from(reply) : reply.json();
    EXPECT_EQ(response["status"], "incomplete");
    EXPECT_EQ(response["incomplete_details"]["reason"], "max_output_tokens");
    EXPECT_EQ(response["output"][0]["status"], "incomplete");
    if (is_stream) {
      EXPECT_EQ(types_of(reply).back(), "response.incomplete");
    }
  }
}

TEST(ResponseShape, AnErrorIsTheLastEvent) {
  const TextOutcome broken{.result = make_error(ErrorCode::kIo, "oh")};
  const TestReply reply = answer_of(shape(), true, "Hello", 2, broken);
  EXPECT_EQ(types_of(reply).back(), "response.failed");
  const Json response = response_from(reply);
  EXPECT_EQ(response["status"], "failed");
  EXPECT_EQ(response["error"], Json({{"code", "server_error"}, {"message", "oh"}}));
  EXPECT_EQ(response["output"][0]["content"][0]["text"], "Hello");
  // Before the first event it is a plain one.
  EXPECT_EQ(answer_of(shape(), true, "", 2, broken).json()["error"]["message"], "oh");
}

TEST(ResponseShape, RepeatsItsRequest) {
  const Json request = {{"instructions", "be brief"},
                        {"metadata", {{"a", "b"}}},
                        {"top_p", 0.5},
                        {"store", false},
                        {"user", nullptr}};
  const Json response = answer_of(shape(request), false, "Hello", 0, text_over("Hello")).json();
  EXPECT_EQ(response["instructions"], "be brief");
  EXPECT_EQ(response["metadata"]["a"], "b");
  EXPECT_EQ(response["top_p"], 0.5);
  EXPECT_EQ(response["store"], false);
  EXPECT_TRUE(response["user"].is_null());
  EXPECT_EQ(response["tools"], Json::array());
}

TEST(ResponseShape, IsFoundInWhatIsKept) {
  const TestReply whole = answer_to(false, "Hello", 0), streamed = answer_to(true, "Hello", 2);
  EXPECT_EQ(response_of(whole.body, false), response_of(streamed.body, true));
  EXPECT_EQ(response_of(whole.body, false)["output"][0]["content"][0]["text"], "Hello");
  EXPECT_EQ(kept_id_of(response_id("a.1")), "a.1");
  EXPECT_EQ(kept_id_of("cmpl-a"), "");
}

}  // namespace
}  // namespace longhaul
