// Tools in a whole server: what reaches the prompt, and what is made of a text that calls. What a
// tiny random model says means nothing, so a request that was broken off is given what it had said.
#include <filesystem>
#include <fstream>
#include <set>

#include "server/request_store.h"
#include "server/serve_fixture.h"

namespace longhaul {
namespace {

// As Qwen's, in short.
constexpr const char* kTemplate =
    "{% if tools %}<tools>{{ tools | tojson }}</tools><tool_call>?{% endif %}"
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}"
    "{% for c in m.tool_calls or [] %}<tool_call>{{ c.function | tojson }}</tool_call>{% endfor %}"
    "{% endfor %}<assistant>{% if enable_thinking %}<think>\n{% endif %}";

const Json kTools = Json::parse(R"([{"type": "function", "function": {"name": "look",
    "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}}])");

class ServeTools : public Serve {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "tools-" +
            testing::UnitTest::GetInstance()->current_test_info()->name();
    for (const char* end : {".db", ".db-wal", ".db-shm"}) std::filesystem::remove(path_ + end);
  }
  void start_with(const std::string& chat_template) {
    std::ofstream(path_ + ".jinja", std::ios::binary) << chat_template;
    chat_template_path_ = path_ + ".jinja";
    ServerOptions options;
    options.requests_path = path_ + ".db";
    options.grace = std::chrono::milliseconds(0);
    start(options);
  }
  Json request(const Json& fields) {
    Json body = {{"messages", {{{"role", "user"}, {"content", "Hi"}}}}, {"tools", kTools}};
    if (fields.is_object()) body.update(fields);
    return body;
  }
  std::string prompt_of(const Json& fields) {
    const TestReply reply = post(port_, "/apply-template", request(fields));
    EXPECT_EQ(reply.status, 200U) << reply.body;
    return reply.json().value("prompt", "");
  }

  std::string path_;
};

TEST_F(ServeTools, ReachThePrompt) {
  start_with(kTemplate);
  const std::string with = prompt_of({});
  EXPECT_NE(with.find(R"(<tools>[{"function": {"name": "look", "parameters": {)"),
            std::string::npos)
      << with;
  EXPECT_EQ(prompt_of({{"tool_choice", "none"}}), "<user>Hi<assistant>");
  EXPECT_TRUE(prompt_of({{"chat_template_kwargs", {{"enable_thinking", true}}}})
                  .ends_with("<assistant><think>\n"));
  const Json messages = Json::parse(R"([{"role": "user", "content": "Hi"},
      {"role": "assistant", "content": null, "tool_calls": [{"id": "1", "type": "function",
       "function": {"name": "look", "arguments": "{\"q\": \"x\"}"}}]},
      {"role": "tool", "tool_call_id": "1", "content": "seen"}])");
  EXPECT_EQ(prompt_of({{"messages", messages}, {"tools", nullptr}}),
            R"(<user>Hi<assistant><tool_call>{"name": "look", "arguments": {"q": "x"}}</tool_call>)"
            "<tool>seen<assistant>");
  const Json tokens = post(port_, "/tokenize", request({})).json();
  EXPECT_EQ(tokens["count"], with.size());  // a token for each byte
}

TEST_F(ServeTools, WhatTheTemplateCannotIsRefused) {
  start_with("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}");
  const TestReply tools = post(port_, "/v1/chat/completions", request({}));
  EXPECT_EQ(tools.status, 501U) << tools.body;
  EXPECT_EQ(tools.json()["error"]["param"], "tools");
  const Json calls = Json::parse(R"([{"role": "assistant", "tool_calls": [{"id": "1",
      "function": {"name": "look", "arguments": "{}"}}]}])");
  const TestReply history =
      post(port_, "/v1/chat/completions", request({{"messages", calls}, {"tools", nullptr}}));
  EXPECT_EQ(history.status, 501U) << history.body;
  EXPECT_EQ(history.json()["error"]["param"], "messages");
  server_.reset();
  start_with("{{ tools | tojson }}{{ messages[0].content }}");
  const TestReply unknown = post(port_, "/v1/chat/completions", request({}));
  EXPECT_EQ(unknown.status, 501U) << unknown.body;
  EXPECT_NE(unknown.body.find("hermes, mistral, llama"), std::string::npos) << unknown.body;
}

// What a random model says under the grammar of its calls is one of them, in every format.
TEST_F(ServeTools, CallsThatHaveToBeMade) {
  const Json tools = Json::parse(R"([
      {"type": "function", "function": {"name": "look", "parameters": {"type": "object",
        "properties": {"q": {"enum": ["here", "there"]}, "n": {"type": "boolean"}},
        "required": ["q", "n"], "additionalProperties": false}}},
      {"type": "function", "function": {"name": "stop", "parameters": {"type": "object",
        "properties": {}, "additionalProperties": false}}}])");
  const std::string rest =
      "{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}{{ m.content }}"
      "{% for c in m.tool_calls or [] %}{{ c.function | tojson }}{% endfor %}{% endfor %}";
  const std::vector<std::string> templates = {
      rest + "{# <tool_call> #}", rest + "{# <tool_call> #}<think>\n", rest + "{# [TOOL_CALLS] #}",
      rest + "{# <|start_header_id|><|python_tag|> #}"};
  std::set<std::string> names;
  for (const std::string& each : templates) {
    start_with(each);
    const Json body = request({{"tools", tools}, {"max_tokens", 200}, {"temperature", 1}});
    for (size_t seed = 0; seed < 3; ++seed) {
      Json any = body;
      any["seed"] = seed;
      any["tool_choice"] = "required";
      const Json choice = post(port_, "/v1/chat/completions", any).json()["choices"][0];
      EXPECT_EQ(choice["finish_reason"], "tool_calls") << each << choice;
      ASSERT_EQ(choice["message"].value("tool_calls", Json::array()).size(), 1U) << each << choice;
      EXPECT_TRUE(choice["message"]["content"].is_null()) << choice;
      const Json& function = choice["message"]["tool_calls"][0]["function"];
      names.insert(function["name"].get<std::string>());
      const Json arguments = Json::parse(function["arguments"].get<std::string>());
      EXPECT_EQ(arguments.size(), function["name"] == "look" ? 2U : 0U) << function;
      Json named = any;
      named["tool_choice"] = {{"type", "function"}, {"function", {{"name", "look"}}}};
      const Json call = post(port_, "/v1/chat/completions", named).json()["choices"][0];
      EXPECT_EQ(call["message"]["tool_calls"][0]["function"]["name"], "look") << call;
    }
    server_.reset();
  }
  EXPECT_EQ(names.size(), 2U);
}

TEST_F(ServeTools, CallsThatCannotBeForcedAreRefused) {
  start_with(kTemplate);
  const auto error_of = [&](const Json& fields) {
    const TestReply reply = post(port_, "/v1/chat/completions", request(fields));
    return std::pair(reply.status, reply.json()["error"]["param"]);
  };
  EXPECT_EQ(error_of({{"tool_choice", "required"}, {"tools", nullptr}}),
            std::pair(400U, Json("tool_choice")));
  EXPECT_EQ(error_of({{"tool_choice", {{"type", "function"}, {"name", "none"}}}}),
            std::pair(400U, Json("tool_choice")));
  EXPECT_EQ(error_of({{"tool_choice", "required"}, {"response_format", {{"type", "json_object"}}}}),
            std::pair(400U, Json("tool_choice")));
  Json tools = kTools;
  tools[0]["function"]["parameters"]["not"] = Json::object();
  EXPECT_EQ(error_of({{"tool_choice", "required"}, {"tools", tools}}),
            std::pair(501U, Json("tools")));
}

TEST_F(ServeTools, ACallGoesOnAfterARestart) {
  start_with(kTemplate);
  const Json body = request({{"stream", true},
                             {"max_tokens", 300},
                             {"temperature", 0},
                             {"chat_template_kwargs", {{"enable_thinking", true}}}});
  const std::string header = "Longhaul-Request-Id: call\r\n";
  ASSERT_EQ(post(port_, "/v1/chat/completions", body, header).status, 200U);
  const std::string said =
      "Hm.</think>\n\n<tool_call>\n{\"name\": \"look\", \"arguments\": {\"q\": \"\xC3\xA9\"}}\n"
      "</tool_call>";
  std::vector<int32_t> tokens = engine_->tokenize(said, false, false).value();
  tokens.push_back(256);  // that ends it
  std::string first;
  for (int turn = 0; turn < 2; ++turn) {
    server_.reset();
    {
      const auto store = RequestStore::open(path_ + ".db").value();
      StoredRequest request = store->find("", "call").value().value();
      request.state = RequestState::kRunning;
      request.answer.clear();
      request.tokens = tokens;
      request.n_resumable = tokens.size();
      ASSERT_TRUE(store->remove("", "call"));
      ASSERT_TRUE(store->insert(request));
      ASSERT_TRUE(store->mark({request}));
    }
    start_with(kTemplate);
    const TestReply reply = get(port_, "/v1/longhaul/requests/call/events");
    if (turn == 0) first = reply.body;
    EXPECT_EQ(reply.body, first);
    std::string content, reasoning, arguments;
    Json call;
    for (const Json& event : reply.events()) {
      const Json& delta = event["choices"][0]["delta"];
      if (delta.contains("content") && delta["content"].is_string())
        content += delta["content"].get<std::string>();
      reasoning += delta.value("reasoning_content", "");
      if (!delta.contains("tool_calls")) continue;
      const Json& piece = delta["tool_calls"][0];
      if (piece.contains("id")) call = piece;
      arguments += piece["function"]["arguments"].get<std::string>();
    }
    EXPECT_EQ(content, "") << reply.body;
    EXPECT_EQ(reasoning, "Hm.");
    EXPECT_EQ(arguments, "{\"q\": \"\xC3\xA9\"}");
    ASSERT_TRUE(call.is_object()) << reply.body;
    EXPECT_EQ(call["function"]["name"], "look");
    EXPECT_EQ(reply.events().back()["choices"][0]["finish_reason"], "tool_calls");
  }
}

}  // namespace
}  // namespace longhaul
