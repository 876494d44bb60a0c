#include "server/message_request.h"

#include <gtest/gtest.h>

namespace longhaul {
namespace {

using Json = nlohmann::json;

ApiRequest parsed(const std::string& body) {
  auto request = parse_message(Json::parse(body), {}, body);
  EXPECT_TRUE(request) << request.error().as_error().message;
  return request.value_or(ApiRequest());
}

std::string error_of(const std::string& body) {
  const auto request = parse_message(Json::parse(body), {}, body);
  return request ? "none" : request.error().as_error().message;
}

TEST(MessageRequest, ConversationsInBlocks) {
  const ApiRequest request = parsed(R"({"max_tokens": 9, "stop_sequences": ["x"],
      "system": [{"type": "text", "text": "be ", "cache_control": {"type": "ephemeral"}},
                 {"type": "text", "text": "brief"}],
      "messages": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [
          {"type": "thinking", "thinking": "hm", "signature": ""},
          {"type": "text", "text": "I look."},
          {"type": "tool_use", "id": "c1", "name": "look", "input": {"z": 1, "a": 2}},
          {"type": "tool_use", "id": "c2", "name": "add", "input": {}}]},
        {"role": "user", "content": [
          {"type": "text", "text": "There:"},
          {"type": "tool_result", "tool_use_id": "c1", "content": "seen"},
          {"type": "tool_result", "tool_use_id": "c2", "is_error": true,
           "content": [{"type": "text", "text": "3"}]}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c3"}]}]})");
  EXPECT_EQ(request.generate.max_tokens, 9U);
  EXPECT_EQ(request.generate.stop, (std::vector<std::string>{"x"}));
  const std::vector<ApiMessage>& messages = request.chat.messages;
  ASSERT_EQ(messages.size(), 7U);
  EXPECT_EQ(messages[0].role, "system");
  EXPECT_EQ(messages[0].content, "be brief");
  EXPECT_EQ(messages[2].reasoning, "hm");
  EXPECT_EQ(messages[2].content, "I look.");
  ASSERT_EQ(messages[2].calls.size(), 2U);
  EXPECT_EQ(messages[2].calls[0].id, "c1");
  EXPECT_EQ(messages[2].calls[0].arguments, R"({"z": 1, "a": 2})");  // in its order
  EXPECT_EQ(messages[3].role, "tool");
  EXPECT_EQ(messages[3].content, "seen");
  EXPECT_EQ(messages[4].tool_call_id, "c2");
  EXPECT_EQ(messages[4].content, "3");
  EXPECT_EQ(messages[5].role, "user");
  EXPECT_EQ(messages[5].content, "There:");
  EXPECT_EQ(messages[6].role, "tool");
}

TEST(MessageRequest, ToolsAndThinking) {
  const ApiRequest request = parsed(R"({"messages": [{"role": "user", "content": "Hi"}],
      "tools": [{"name": "look", "description": "d",
                 "input_schema": {"type": "object", "properties": {"z": {}, "a": {}}}}],
      "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
      "thinking": {"type": "enabled", "budget_tokens": 1024}})");
  EXPECT_EQ(
      request.chat.tools,
      R"([{"type": "function", "function": {"name": "look", "description": "d", "parameters": )"
      R"({"type": "object", "properties": {"z": {}, "a": {}}}}}])");
  EXPECT_TRUE(request.chat.one_call);
  EXPECT_EQ(request.chat.variables["enable_thinking"], true);
  EXPECT_EQ(parsed(R"({"messages": [{"role": "user", "content": "Hi"}],
      "thinking": {"type": "disabled"}})")
                .chat.variables["enable_thinking"],
            false);
  EXPECT_FALSE(parsed(R"({"messages": [{"role": "user", "content": "Hi"}],
      "tools": [{"name": "look"}], "tool_choice": {"type": "none"}})")
                   .chat.has_tools());
}

TEST(MessageRequest, FormatsOfTheText) {
  const std::string body = R"({"messages": [{"role": "user", "content": "Hi"}],
      "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}})";
  EXPECT_NE(parsed(body).generate.grammar, nullptr);
}

TEST(MessageRequest, ErrorsNameTheField) {
  EXPECT_EQ(error_of("{}"), "messages: expected at least one message, found none");
  EXPECT_EQ(error_of(R"({"messages": [{"role": "system", "content": "a"}]})"),
            "messages: message 0: role: expected user or assistant, found \"system\"");
  EXPECT_EQ(error_of(R"({"messages": [{"role": "user", "content": null}]})"),
            "messages: message 0: content: expected a text or a list of blocks, found null");
  EXPECT_EQ(error_of(R"({"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]})"),
            "messages: message 0: tool_result: expected a tool_use_id, found "
            "{\"type\":\"tool_result\"}");
  EXPECT_EQ(error_of(R"({"messages": [{"role": "user", "content": "a"}], "tools": [{}]})"),
            "tools: tool 0: expected a name, found none");
  const auto code = [](const std::string& body) {
    return parse_message(Json::parse(body), {}, body).error().error.code;
  };
  EXPECT_EQ(code(R"({"messages": [{"role": "user", "content": [{"type": "image"}]}]})"),
            ErrorCode::kUnsupported);
  EXPECT_EQ(code(R"({"messages": [{"role": "assistant",
                     "content": [{"type": "redacted_thinking", "data": "x"}]}]})"),
            ErrorCode::kUnsupported);
  EXPECT_EQ(code(R"({"messages": [{"role": "user", "content": "a"}],
                     "tools": [{"type": "web_search_20250305", "name": "web_search"}]})"),
            ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace longhaul
