// /messages in a whole server. What a tiny random model says means nothing, but it is the same in
// every shape of the API.
#include <algorithm>
#include <fstream>

#include "server/serve_fixture.h"

namespace longhaul {
namespace {

constexpr const char* kTemplate =
    "{% if tools %}<tools>{{ tools | tojson }}</tools><tool_call>?{% endif %}"
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>";

class ServeMessages : public Serve {
 protected:
  void start_with_chat(ServerOptions options = {}) {
    chat_template_path_ = testing::TempDir() + "messages.jinja";
    std::ofstream(chat_template_path_, std::ios::binary) << kTemplate;
    start(options);
  }
  static Json request(const Json& fields) {
    Json body = {{"max_tokens", 30},
                 {"temperature", 0},
                 {"ignore_eos", true},
                 {"messages", {{{"role", "user"}, {"content", "Hi"}}}}};
    if (fields.is_object()) body.update(fields);
    return body;
  }
};

TEST_F(ServeMessages, SayWhatChatSays) {
  start_with_chat();
  const Json chat = post(port_, "/v1/chat/completions", request({{"logprobs", false}})).json();
  const Json whole = post(port_, "/v1/messages", request({})).json();
  EXPECT_EQ(whole["content"][0]["text"], chat["choices"][0]["message"]["content"]) << whole;
  EXPECT_EQ(whole["stop_reason"], "max_tokens");
  EXPECT_EQ(whole["usage"]["output_tokens"], 30);
  const TestReply streamed = post(port_, "/v1/messages", request({{"stream", true}}));
  std::string text;
  for (const Json& event : streamed.events()) {
    if (event["type"] == "content_block_delta") text += event["delta"]["text"].get<std::string>();
  }
  EXPECT_EQ(text, whole["content"][0]["text"]);
  EXPECT_EQ(streamed.events().back()["type"], "message_stop");
}

TEST_F(ServeMessages, TokensAreCounted) {
  start_with_chat();
  const TestReply counted =
      post(port_, "/v1/messages/count_tokens", request({{"system", "be brief"}}));
  EXPECT_EQ(counted.status, 200U) << counted.body;
  EXPECT_EQ(counted.json()["input_tokens"],
            std::string("<system>be brief<user>Hi<assistant>").size());
}

TEST_F(ServeMessages, TheStopTextIsNamed) {
  start_with_chat();
  // Some characters that it says, as they stand there for the first time.
  const auto find_stop = [](const std::string& text) {
    for (size_t at = 5; at + 3 < text.size(); ++at) {
      const bool is_ascii = std::all_of(text.begin() + static_cast<std::ptrdiff_t>(at - 1),
                                        text.begin() + static_cast<std::ptrdiff_t>(at + 3),
                                        [](char c) { return c > ' '; });
      const std::string part = text.substr(at, 3);
      if (is_ascii && text.find(part) == at) return part;
    }
    return std::string();
  };
  Json body = request({{"temperature", 1}, {"max_tokens", 200}});
  std::string text, stop;
  for (size_t seed = 0; seed < 50 && stop.empty(); ++seed) {
    body["seed"] = seed;
    text = post(port_, "/v1/messages", body).json()["content"][0]["text"];
    stop = find_stop(text);
  }
  ASSERT_FALSE(stop.empty()) << text;
  body["stop_sequences"] = {"never said", stop};
  const Json stopped = post(port_, "/v1/messages", body).json();
  EXPECT_EQ(stopped["stop_reason"], "stop_sequence") << stopped;
  EXPECT_EQ(stopped["stop_sequence"], stop);
  EXPECT_EQ(stopped["content"][0]["text"], text.substr(0, text.find(stop)));
}

TEST_F(ServeMessages, ErrorsAreAnthropics) {
  ServerOptions options;
  options.api_keys = {"right"};
  start_with_chat(options);
  const std::string key = "x-api-key: right\r\n";
  const auto error_of = [&](const Json& body, const std::string& headers) {
    const TestReply reply = post(port_, "/v1/messages", body, headers);
    EXPECT_EQ(reply.json()["type"], "error") << reply.body;
    return std::pair(reply.status, reply.json()["error"]["type"].get<std::string>());
  };
  EXPECT_EQ(error_of(request({}), ""), std::pair(401U, std::string("authentication_error")));
  EXPECT_EQ(error_of(request({{"messages", 3}}), key),
            std::pair(400U, std::string("invalid_request_error")));
  EXPECT_EQ(error_of(request({{"system", std::string(600, 'x')}}), key),
            std::pair(400U, std::string("invalid_request_error")));
  EXPECT_EQ(
      error_of(request({{"messages", {{{"role", "user"}, {"content", {{{"type", "image"}}}}}}}}),
               key)
          .first,
      501U);
  EXPECT_EQ(post(port_, "/v1/messages", request({}), key).status, 200U);
}

}  // namespace
}  // namespace longhaul
