#include "server/chat_request.h"

#include <gtest/gtest.h>

#include "server/chat_format.h"

namespace longhaul {
namespace {

using Json = nlohmann::json;

// Reads a body whose message is `messages`, and further fields.
tl::expected<ChatRequest, FieldError> read(const std::string& body) {
  ChatRequest request;
  const FieldReaders readers = chat_fields(request, body);
  if (FieldStatus status = read_fields(Json::parse(body), readers, UnknownFields::kIgnored);
      !status)
    return tl::unexpected<FieldError>(std::move(status.error()));
  return request;
}

ChatRequest chat(const std::string& body) {
  auto request = read(body);
  EXPECT_TRUE(request) << request.error().as_error().message;
  return request.value_or(ChatRequest());
}

constexpr const char* kHistory = R"({"messages": [
    {"role": "developer", "content": "be brief"},
    {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [
      {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{\"z\": 1, \"a\": 2}"}},
      {"id": "c2", "function": {"name": "add", "arguments": "{oh"}}]},
    {"role": "tool", "tool_call_id": "c1", "content": "x", "name": "look"}]})";

TEST(ChatRequest, ConversationsWithCalls) {
  const ChatRequest request = chat(kHistory);
  ASSERT_EQ(request.messages.size(), 4U);
  EXPECT_EQ(request.messages[0].role, "system");
  EXPECT_EQ(request.messages[1].content, "ab");
  EXPECT_EQ(request.messages[2].content, "");
  EXPECT_EQ(request.messages[2].reasoning, "hm");
  ASSERT_EQ(request.messages[2].calls.size(), 2U);
  EXPECT_EQ(request.messages[2].calls[0].arguments, R"({"z": 1, "a": 2})");
  EXPECT_EQ(request.messages[3].tool_call_id, "c1");
  EXPECT_TRUE(request.has_calls());
  EXPECT_FALSE(request.has_tools());
}

TEST(ChatRequest, CallsThatHaveToBeMade) {
  EXPECT_FALSE(chat(R"({"tool_choice": "auto"})").must_call);
  EXPECT_TRUE(chat(R"({"tool_choice": "required"})").must_call);
  for (const char* named : {R"({"tool_choice": {"type": "function", "function": {"name": "a"}}})",
                            R"({"tool_choice": {"type": "function", "name": "a"}})"}) {
    const ChatRequest request = chat(named);
    EXPECT_TRUE(request.must_call && request.may_call);
    EXPECT_EQ(request.forced_tool, "a");
  }
}

TEST(ChatRequest, TemplatesAreGivenWhatTheyWant) {
  const ChatRequest request = chat(kHistory);
  const auto message = [&](const CallStyle& style) {
    return Json::parse(messages_json(request.messages, style)).at(2);
  };
  const Json values = message({});
  EXPECT_EQ(values["content"], "");
  EXPECT_EQ(values["reasoning_content"], "hm");
  EXPECT_EQ(values["tool_calls"][0]["function"]["arguments"], Json({{"z", 1}, {"a", 2}}));
  EXPECT_EQ(values["tool_calls"][1]["function"]["arguments"], "{oh");  // no JSON: as it is
  EXPECT_EQ(values["tool_calls"][1]["id"], "c2");
  const Json texts = message({.has_objects = false, .has_no_content = true});
  EXPECT_TRUE(texts["content"].is_null());
  EXPECT_EQ(texts["tool_calls"][0]["function"]["arguments"], R"({"z": 1, "a": 2})");
  // In the order in which the model wrote them.
  EXPECT_NE(messages_json(request.messages, {}).find(R"({"z": 1, "a": 2})"), std::string::npos);
}

TEST(ChatRequest, ToolsKeepTheirOrder) {
  const std::string tools = R"([{"type": "function", "function": {"name": "look", "description":
    "d", "parameters": {"type": "object", "properties": {"z": {}, "a": {}}}}}])";
  const ChatRequest request =
      chat(R"({"messages": [], "tools": )" + tools + R"(, "tool_choice": "auto",
            "parallel_tool_calls": false, "chat_template_kwargs": {"enable_thinking": false},
            "reasoning_effort": "low", "reasoning_format": "none", "functions": null})");
  EXPECT_EQ(request.tools, tools);
  EXPECT_EQ(request.tool_names, std::vector<std::string>{"look"});
  EXPECT_TRUE(request.has_tools());
  EXPECT_TRUE(request.one_call);
  EXPECT_FALSE(request.shows_reasoning);
  EXPECT_EQ(request.variables, Json({{"enable_thinking", false}, {"reasoning_effort", "low"}}));
  EXPECT_FALSE(chat(R"({"tools": )" + tools + R"(, "tool_choice": "none"})").has_tools());
  EXPECT_FALSE(chat(R"({"tools": [], "functions": [], "function_call": "auto"})").has_tools());
}

TEST(ChatRequest, RefusalsNameTheField) {
  struct Case {
    const char* body;
    const char* field;
    const char* words;
    ErrorCode code;
  };
  constexpr auto kBad = ErrorCode::kBadInput, kCannot = ErrorCode::kUnsupported;
  const Case cases[] = {
      {R"({"messages": [{"content": "a"}]})", "messages", "a role", kBad},
      {R"({"messages": [{"role": "user", "tool_calls": [{}]}]})", "messages", "assistant", kBad},
      {R"({"messages": [{"role": "assistant", "tool_calls": 5}]})", "messages", "tool_calls", kBad},
      {R"({"messages": [{"role": "assistant", "tool_calls": [{}]}]})", "messages",
       "message 0: tool_calls", kBad},
      {R"({"messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]})", "messages",
       "a name", kBad},
      {R"({"messages": [{"role": "assistant", "tool_calls": [{"type": "custom", "function": {}}]}]})",
       "messages", "custom", kCannot},
      {R"({"messages": [{"role": "assistant", "tool_calls":
          [{"function": {"name": "a", "arguments": 5}}]}]})",
       "messages", "arguments", kBad},
      {R"({"messages": [{"role": "assistant", "function_call": {"name": "a"}}]})", "messages",
       "tool_calls", kCannot},
      {R"({"messages": [{"role": "tool", "tool_call_id": 5}]})", "messages", "tool_call_id", kBad},
      {R"({"messages": [{"role": "assistant", "reasoning_content": []}]})", "messages",
       "reasoning_content", kBad},
      {R"({"tools": 5})", "tools", "a list", kBad},
      {R"({"tools": [{}]})", "tools", "tool 0", kBad},
      {R"({"tools": [{"type": "web_search"}]})", "tools", "web_search", kCannot},
      {R"({"tools": [{"type": "function", "function": {"name": ""}}]})", "tools", "a name", kBad},
      {R"({"tools": [{"type": "function", "function": {"name": "a", "parameters": 5}}]})", "tools",
       "parameters", kBad},
      {R"({"tool_choice": {"type": "custom", "name": "a"}})", "tool_choice", "custom", kCannot},
      {R"({"tool_choice": {"type": "function", "function": {}}})", "tool_choice", "name", kBad},
      {R"({"tool_choice": 5})", "tool_choice", "auto", kBad},
      {R"({"parallel_tool_calls": 1})", "parallel_tool_calls", "true or false", kBad},
      {R"({"functions": [{"name": "a"}]})", "functions", "tools", kCannot},
      {R"({"function_call": {"name": "a"}})", "function_call", "tool_choice", kCannot},
      {R"({"chat_template_kwargs": []})", "chat_template_kwargs", "an object", kBad},
      {R"({"reasoning_effort": 5})", "reasoning_effort", "a text", kBad},
      {R"({"reasoning_format": "xml"})", "reasoning_format", "deepseek", kCannot},
  };
  for (const auto& [body, field, words, code] : cases) {
    const auto request = read(body);
    ASSERT_FALSE(request) << body;
    EXPECT_EQ(request.error().field, field) << body;
    EXPECT_EQ(request.error().error.code, code) << body;
    EXPECT_NE(request.error().error.message.find(words), std::string::npos)
        << request.error().error.message;
  }
}

}  // namespace
}  // namespace longhaul
