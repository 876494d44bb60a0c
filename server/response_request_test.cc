#include "server/response_request.h"

#include <gtest/gtest.h>

namespace longhaul {
namespace {

using Json = nlohmann::json;

ResponseRequest parsed(const std::string& body) {
  auto request = parse_response(Json::parse(body), {}, body);
  EXPECT_TRUE(request) << request.error().as_error().message;
  return request.value_or(ResponseRequest());
}

std::string error_of(const std::string& body) {
  const auto request = parse_response(Json::parse(body), {}, body);
  return request ? "none" : request.error().as_error().message;
}

TEST(ResponseRequest, ATextIsAUsersMessage) {
  const ResponseRequest request = parsed(
      R"({"input": "Hi", "max_output_tokens": 5, "temperature": 0.5, "stream": true, "n": "ignored",
          "stop": null, "metadata": {"a": "b"}, "reasoning": {"effort": "low", "summary": "auto"}})");
  ASSERT_EQ(request.api.chat.messages.size(), 1U);
  EXPECT_EQ(request.api.chat.messages[0].role, "user");
  EXPECT_EQ(request.api.chat.messages[0].content, "Hi");
  EXPECT_EQ(request.api.generate.max_tokens, 5U);
  EXPECT_TRUE(request.api.is_stream);
  EXPECT_EQ(request.api.chat.variables["reasoning_effort"], "low");
  EXPECT_TRUE(request.is_stored);
  EXPECT_FALSE(request.is_background);
}

TEST(ResponseRequest, ItemsOfATurnAreOneMessage) {
  const ResponseRequest request = parsed(R"({"input": [
      {"role": "developer", "content": "be brief"},
      {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"},
                                                      {"type": "input_text", "text": "b"}]},
      {"type": "reasoning", "id": "rs", "summary": [],
       "content": [{"type": "reasoning_text", "text": "hm"}]},
      {"type": "message", "id": "m", "role": "assistant", "status": "completed",
       "content": [{"type": "output_text", "text": "I look.", "annotations": []}]},
      {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{\"z\": 1, \"a\": 2}"},
      {"type": "function_call", "call_id": "c2", "name": "add", "arguments": "{}"},
      {"type": "function_call_output", "call_id": "c1", "output": "seen"},
      {"type": "function_call_output", "call_id": "c2",
       "output": [{"type": "input_text", "text": "3"}]},
      {"type": "reasoning", "summary": [{"type": "summary_text", "text": "so"}]},
      {"role": "assistant", "content": "Done."},
      {"role": "assistant", "content": "Really."}]})");
  const std::vector<ApiMessage>& messages = request.api.chat.messages;
  ASSERT_EQ(messages.size(), 7U);
  EXPECT_EQ(messages[0].role, "system");
  EXPECT_EQ(messages[1].content, "ab");
  EXPECT_EQ(messages[2].reasoning, "hm");
  EXPECT_EQ(messages[2].content, "I look.");
  ASSERT_EQ(messages[2].calls.size(), 2U);
  EXPECT_EQ(messages[2].calls[0].arguments, R"({"z": 1, "a": 2})");
  EXPECT_EQ(messages[3].role, "tool");
  EXPECT_EQ(messages[3].tool_call_id, "c1");
  EXPECT_EQ(messages[4].content, "3");
  EXPECT_EQ(messages[5].reasoning, "so");
  EXPECT_EQ(messages[5].content, "Done.");
  EXPECT_EQ(messages[6].content, "Really.");
}

TEST(ResponseRequest, SystemMessagesAtTheStartAreOne) {
  ResponseRequest request = parsed(R"({"instructions": "one", "input": [
      {"role": "system", "content": "two"}, {"role": "user", "content": "Hi"},
      {"role": "system", "content": "three"}]})");
  put_together(request, {});
  const std::vector<ApiMessage>& messages = request.api.chat.messages;
  ASSERT_EQ(messages.size(), 3U);
  EXPECT_EQ(messages[0].content, "one\n\ntwo");
  EXPECT_EQ(messages[2].content, "three");
  // What was said before stands between the instructions and what is said now.
  ResponseRequest next = parsed(R"({"instructions": "one", "input": "And?"})");
  put_together(next, {{.role = "user", .content = "Hi"}, {.role = "assistant", .content = "Ho"}});
  ASSERT_EQ(next.api.chat.messages.size(), 4U);
  EXPECT_EQ(next.api.chat.messages[0].content, "one");
  EXPECT_EQ(next.api.chat.messages[2].content, "Ho");
  EXPECT_EQ(next.api.chat.messages[3].content, "And?");
}

TEST(ResponseRequest, ToolsAreAsTemplatesKnowThem) {
  const ResponseRequest request = parsed(R"({"input": "Hi", "tools": [
      {"type": "function", "name": "look", "description": "d", "strict": true,
       "parameters": {"type": "object", "properties": {"z": {}, "a": {}}}},
      {"type": "function", "name": "add"}], "parallel_tool_calls": false})");
  EXPECT_EQ(
      request.api.chat.tools,
      R"([{"type": "function", "function": {"name": "look", "description": "d", "parameters": )"
      R"({"type": "object", "properties": {"z": {}, "a": {}}}}}, )"
      R"({"type": "function", "function": {"name": "add"}}])");
  EXPECT_EQ(request.api.chat.tool_names, (std::vector<std::string>{"look", "add"}));
  EXPECT_TRUE(request.api.chat.one_call);
}

TEST(ResponseRequest, FormatsOfTheText) {
  EXPECT_EQ(parsed(R"({"input": "a", "text": {"format": {"type": "text"}}})").api.generate.grammar,
            nullptr);
  EXPECT_NE(parsed(R"({"input": "a", "text": {"verbosity": "low", "format": {"type": "json_schema",
                       "name": "x", "schema": {"type": "object"}}}})")
                .api.generate.grammar,
            nullptr);
  EXPECT_EQ(error_of(R"({"input": "a", "text": {"format": {"type": "json_schema", "name": "x"}}})"),
            "text: format: json_schema: expected an object with a schema, found null");
}

TEST(ResponseRequest, ErrorsNameTheField) {
  EXPECT_EQ(error_of("{}"), "input: expected a text or at least one item, found none");
  EXPECT_EQ(error_of(R"({"input": 3})"), "input: expected a text or a list of items, found 3");
  EXPECT_EQ(error_of(R"({"input": [{"role": "robot", "content": "a"}]})"),
            "input: item 0: role: expected one of user, assistant, system, developer, found "
            "\"robot\"");
  EXPECT_EQ(error_of(R"({"input": [{"type": "function_call_output", "output": "x"}]})"),
            "input: item 0: call_id: expected the id of a call, found none");
  EXPECT_EQ(error_of(R"({"input": "a", "tools": [{"type": "web_search"}]})"),
            "tools: tool 0: this server knows tools of the type function, found \"web_search\"");
  EXPECT_EQ(error_of(R"({"input": "a", "background": true, "store": false})"),
            "store: expected true beside background, found false");
  const auto code = [](const std::string& body) {
    return parse_response(Json::parse(body), {}, body).error().error.code;
  };
  EXPECT_EQ(code(R"({"input": [{"role": "user", "content": [{"type": "input_image"}]}]})"),
            ErrorCode::kUnsupported);
  EXPECT_EQ(code(R"({"input": [{"type": "item_reference", "id": "x"}]})"), ErrorCode::kUnsupported);
  EXPECT_EQ(code(R"({"input": "a", "truncation": "auto"})"), ErrorCode::kUnsupported);
  EXPECT_EQ(code(R"({"input": "a", "include": ["message.output_text.logprobs"]})"),
            ErrorCode::kUnsupported);
  EXPECT_EQ(error_of(R"({"input": "a", "include": ["reasoning.encrypted_content"]})"), "none");
}

}  // namespace
}  // namespace longhaul
