// What a server bears: refusals, limits, keys, hostile bytes.
#include <gtest/gtest.h>

#include <random>

#include "server/serve_fixture.h"

namespace longhaul {
namespace {

TEST_F(Serve, EveryRefusalHasItsStatusAndType) {
  start();
  struct Case {
    const char* path;
    std::string body;
    unsigned status;
    const char* type;
    const char* part;
  };
  const Case cases[] = {
      {"/v1/completions", "{", 400, "invalid_request_error", "expected JSON"},
      {"/v1/completions", "[]", 400, "invalid_request_error", "expected an object"},
      {"/v1/completions", "{}", 400, "invalid_request_error", "prompt"},
      {"/v1/completions", R"({"prompt": [1000000]})", 400, "invalid_request_error", "below"},
      {"/v1/completions", R"({"prompt": "a", "n": 1000})", 400, "invalid_request_error", "1000"},
      {"/v1/completions", R"({"prompt": "a", "logit_bias": {"999999999": 1}})", 400,
       "invalid_request_error", "999999999"},
      {"/v1/completions", R"({"prompt": "a", "longhaul": {"attention": "dnse"}})", 400,
       "invalid_request_error", "dnse"},
      {"/v1/completions",
       R"({"prompt": "a", "longhaul": {"attention": "sparse", "sparse_ratio": 0}})", 400,
       "invalid_request_error", "ratio"},
      {"/v1/completions",
       R"({"prompt": "a", "stream": true, "longhaul": {"attention": "sparse", "selector": "gate"}})",
       400, "invalid_request_error", "gate"},
      {"/v1/completions", R"({"prompt": "a", "suffix": "b"})", 501, "not_supported_error",
       "suffix"},
      {"/v1/embeddings", "{}", 400, "invalid_request_error", "input"},
  };
  for (const Case& c : cases) {
    const TestReply reply = ask(port_, post_text(c.path, c.body));
    EXPECT_EQ(reply.status, c.status) << c.body;
    const Json error = reply.json()["error"];
    EXPECT_EQ(error["type"], c.type) << c.body;
    EXPECT_TRUE(error.contains("param") && error.contains("code"));
    EXPECT_NE(error["message"].get<std::string>().find(c.part), std::string::npos) << error.dump();
  }
  const Json error = post(port_, "/v1/completions", request_of(kContext, 1, 0)).json()["error"];
  EXPECT_EQ(error["type"], "exceed_context_size_error");
  EXPECT_EQ(error["code"], "context_length_exceeded");
  EXPECT_EQ(error["n_prompt_tokens"], kContext);
  EXPECT_EQ(error["n_ctx"], kContext);
}

TEST_F(Serve, KeysAreAskedForAndKeepPromptsApart) {
  ServerOptions options;
  options.api_keys = {"first", "second"};
  start(options);
  const Json body = request_of(60, 2, 2);
  EXPECT_EQ(get(port_, "/health").status, 200U);
  EXPECT_EQ(get(port_, "/v1/models").status, 401U);
  const TestReply refused = post(port_, "/v1/completions", body, "Authorization: Bearer firs\r\n");
  EXPECT_EQ(refused.status, 401U);
  EXPECT_EQ(refused.json()["error"]["type"], "authentication_error");
  const auto cached = [&](const std::string& headers) {
    return post(port_, "/v1/completions", body, headers)
        .json()["usage"]["prompt_tokens_details"]["cached_tokens"]
        .get<size_t>();
  };
  EXPECT_EQ(cached("Authorization: Bearer first\r\n"), 0U);
  EXPECT_EQ(cached("Authorization: Bearer first\r\n"), 59U);
  EXPECT_EQ(cached("X-Api-Key: second\r\n"), 0U);
}

TEST_F(Serve, WhatIsTooLargeIsRefusedInWords) {
  ServerOptions options;
  options.connections.max_head_bytes = 1000;
  options.connections.max_body_bytes = 1000;
  start(options);
  EXPECT_EQ(ask(port_, post_text("/v1/completions", std::string(2000, 'x'))).status, 413U);
  EXPECT_EQ(get(port_, "/health", "X: " + std::string(2000, 'x') + "\r\n").status, 431U);
  EXPECT_EQ(ask(port_, "nonsense\r\n\r\n").status, 400U);
}

TEST_F(Serve, WhoIsTooSlowIsCutOff) {
  ServerOptions options;
  options.connections.head_timeout = std::chrono::milliseconds(50);
  options.connections.body_timeout = std::chrono::milliseconds(50);
  start(options);
  TestClient head(port_), body(port_);
  head.send("GET /health HT");
  body.send("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{");
  EXPECT_EQ(head.receive_all(), "");
  EXPECT_EQ(body.receive_all(), "");
}

TEST_F(Serve, ConnectionsBeyondTheLimitWait) {
  ServerOptions options;
  options.connections.max_connections = 1;
  start(options);
  TestClient first(port_), second(port_);
  second.send("GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  first.send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(first.receive_until("ok").find("200"), std::string::npos);
  first.close();
  EXPECT_EQ(parse_reply(second.receive_all()).status, 200U);
}

TEST_F(Serve, PagesOfOtherOriginsAreAllowedOnlyIfTold) {
  start();
  EXPECT_EQ(get(port_, "/health", "Origin: http://a\r\n").head.find("Access-Control"),
            std::string::npos);
  server_.reset();
  ServerOptions options;
  options.cors_origin = "http://a";
  start(options);
  const TestReply preflight =
      ask(port_,
          "OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: x\r\nOrigin: http://a\r\n"
          "Connection: close\r\n\r\n");
  EXPECT_EQ(preflight.status, 204U);
  EXPECT_NE(preflight.head.find("Access-Control-Allow-Origin: http://a\r\n"), std::string::npos);
  EXPECT_NE(preflight.head.find("Authorization"), std::string::npos);
}

// Bytes of valid requests, changed, cut and repeated by chance: whatever comes of it, the server
// answers the next one.
TEST_F(Serve, NoRequestEndsTheProcess) {
  ServerOptions options;
  options.connections.head_timeout = options.connections.body_timeout =
      std::chrono::milliseconds(100);  // for requests that were cut
  options.defaults.max_tokens = 4;
  start(options);
  const std::string bodies[] = {
      R"({"prompt": "a", "max_tokens": 2, "n": 2, "logprobs": 1, "echo": true, "stop": ["b"]})",
      R"({"messages": [{"role": "user", "content": [{"type": "text", "text": "\u00e9"}]}], "stream": true, "max_tokens": 2})",
      R"({"prompt": [[1, 2], [3]], "stream": true, "logit_bias": {"5": 1e3}, "max_tokens": 1, "longhaul": {"attention": "sparse"}})",
      R"({"tokens": [1, 2, 3], "content": "x", "temperature": 1e308, "top_k": -1, "max_tokens": 1})"};
  const char* paths[] = {"/v1/completions", "/v1/chat/completions", "/tokenize", "/detokenize",
                         "/apply-template"};
  std::mt19937 random(11);
#ifdef __SANITIZE_THREAD__
  constexpr int kRounds = 60;
#else
  constexpr int kRounds = 600;
#endif
  const auto mutate = [&](std::string& bytes) {
    for (size_t n = random() % 4; n > 0 && !bytes.empty(); --n) {
      const size_t at = random() % bytes.size();
      switch (random() % 4) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes.erase(at, random() % 8);
          break;
        case 2:
          bytes.insert(at, bytes.substr(random() % bytes.size(), random() % 16));
          break;
        default:
          bytes.insert(at, 1, "{}[]\",:0-9eE\\u\x80\xff"[random() % 16]);
          break;
      }
    }
  };
  for (int i = 0; i < kRounds; ++i) {
    std::string body = bodies[random() % 4];
    mutate(body);
    std::string bytes = post_text(paths[random() % 5], body);
    if (random() % 8 == 0) mutate(bytes);
    TestClient client(port_);
    client.send(bytes);
    if (random() % 8 != 0) client.receive_all();  // else it vanishes
  }
  // On a machine that is busy this may come too late a few times.
  unsigned status = 0;
  for (int i = 0; i < 1000 && status != 200; ++i) status = get(port_, "/health").status;
  EXPECT_EQ(status, 200U);
}

}  // namespace
}  // namespace longhaul
