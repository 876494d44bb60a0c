// A whole server in this process, over the loopback: answers are what the engine says alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <latch>
#include <random>
#include <thread>

#include "server/server.h"
#include "server/test_client.h"
#include "tests/tiny_model.h"

namespace longhaul {
namespace {

using Json = nlohmann::json;

constexpr size_t kContext = 512;

class Serve : public testing::Test {
 protected:
  // The engine and the server; `n_parallel` texts at once.
  void start(ServerOptions options = {}, size_t n_kept = 4) {
    EngineOptions engine_options;
    engine_options.model_path = write_tiny_model({});
    engine_options.n_threads = 2;
    engine_options.ctx_size = kContext;
    engine_options.max_sessions = options.n_parallel + n_kept + 1;
    engine_options.prefill_chunk = 64;
    auto engine = Engine::load(engine_options);
    ASSERT_TRUE(engine) << engine.error().message;
    engine_ = std::move(*engine);
    options.port = 0;
    options.n_kept = n_kept;
    options.model_id = "tiny";
    options.defaults.max_tokens = kContext;
    auto server = Server::start(*engine_, options);
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
    port_ = server_->port();
  }

  // What the engine says alone.
  GenerateResult alone(const Json& body) {
    GenerateRequest request;
    request.prompt = body["prompt"].get<std::vector<int32_t>>();
    request.max_tokens = body.value("max_tokens", kContext);
    request.sampling.temperature = body.value("temperature", 0.0F);
    request.sampling.seed = body.value("seed", 0U);
    request.ignore_eos = body.value("ignore_eos", false);
    if (body.contains("longhaul")) {
      request.attention.mode =
          parse_attention_mode(std::string(body["longhaul"]["attention"])).value();
      request.attention.min_blocks = 4;
      request.attention.sparse_ratio = 0.05;
    }
    Session session = engine_->new_session().value();
    auto result = session.generate(request);
    EXPECT_TRUE(result) << result.error().message;
    return std::move(*result);
  }

  std::string metric(const std::string& name) {
    const std::string text = get(port_, "/metrics").body;
    const size_t at = text.find("\n" + name + " ");
    if (at == std::string::npos) return "none";
    const size_t begin = at + name.size() + 2;
    return text.substr(begin, text.find('\n', begin) - begin);
  }
  // Waits until a gauge has a value: what other threads are about to do.
  void await_metric(const std::string& name, const std::string& value) {
    while (metric(name) != value) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }

  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Server> server_;
  uint16_t port_ = 0;
};

ServerOptions parallel(size_t n_parallel) {
  ServerOptions options;
  options.n_parallel = n_parallel;
  return options;
}

Json request_of(size_t n_prompt, size_t max_tokens, uint64_t seed) {
  return {{"prompt", random_tokens(n_prompt, seed)},
          {"max_tokens", max_tokens},
          {"temperature", seed % 2 == 0 ? 0.0 : 1.0},
          {"seed", seed},
          {"ignore_eos", true}};
}

std::string streamed_text(const TestReply& reply) {
  std::string text;
  for (const Json& event : reply.events()) {
    for (const Json& choice : event["choices"]) text += choice["text"].get<std::string>();
  }
  return text;
}

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
      {"/v1/embeddings", "{}", 501, "not_supported_error", "embeddings"},
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

TEST_F(Serve, AClientThatVanishesFreesItsWork) {
  start(parallel(1));
  for (const bool in_prefill : {false, true}) {
    Json body = request_of(in_prefill ? 500 : 20, 480, 2);
    body["stream"] = true;
    TestClient client(port_);
    client.send(post_text("/v1/completions", body.dump()));
    if (!in_prefill) client.receive();
    client.close();
    // Its thread is the only one: this answer comes when the text is over.
    EXPECT_EQ(post(port_, "/v1/completions", request_of(20, 2, 4)).status, 200U);
  }
}

TEST_F(Serve, ASlowReaderHoldsUpNobodyAndAFullQueueSaysSo) {
  ServerOptions options = parallel(2);
  options.max_waiting = 1;
  options.connections.max_unsent_bytes = 512;
  start(options);
  Json slow = request_of(20, 400, 2);
  slow["stream"] = true;
  slow["logprobs"] = 20;  // hundreds of kilobytes: more than small sockets take
  TestClient reader(port_, TestClient::kSlow);
  reader.send(post_text("/v1/completions", slow.dump()));
  await_metric("llamacpp:requests_processing", "1");
  EXPECT_EQ(post(port_, "/v1/completions", request_of(20, 30, 4)).status, 200U);
  TestClient second(port_, TestClient::kSlow), third(port_, TestClient::kSlow);
  second.send(post_text("/v1/completions", slow.dump()));
  await_metric("llamacpp:requests_processing", "2");
  third.send(post_text("/v1/completions", slow.dump()));
  await_metric("llamacpp:requests_deferred", "1");
  const TestReply refused = post(port_, "/v1/completions", request_of(20, 2, 4));
  EXPECT_EQ(refused.status, 429U);
  EXPECT_NE(refused.head.find("Retry-After: "), std::string::npos) << refused.head;
  // A client that leaves the queue gives its place away and disturbs nobody.
  third.close();
  second.close();
  const TestReply read = parse_reply(reader.receive_all());
  slow.erase("stream");
  EXPECT_EQ(streamed_text(read), alone(slow).text);
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

TEST_F(Serve, AConnectionServesOneRequestAfterTheOther) {
  start();
  TestClient client(port_);
  const std::string body = request_of(20, 2, 2).dump();
  const std::string one = post_text("/v1/completions", body, "");
  client.send(one + one + "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string all = client.receive_all();
  size_t n_replies = 0;
  for (size_t at = 0; (at = all.find("HTTP/1.1 200 OK", at)) != std::string::npos; ++at)
    ++n_replies;
  EXPECT_EQ(n_replies, 3U) << all;
  TestClient patient(port_);
  patient.send(
      "POST /tokenize HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 16\r\n\r\n");
  EXPECT_NE(patient.receive_until("\r\n\r\n").find("100 Continue"), std::string::npos);
  patient.send(R"({"content": "a"})");
  EXPECT_NE(patient.receive_until("tokens").find("200 OK"), std::string::npos);
}

TEST_F(Serve, OldClientsGetAStreamThatEndsWithItsConnection) {
  start();
  Json body = request_of(20, 5, 2);
  const std::string expected = alone(body).text;
  body["stream"] = true;
  const std::string text = body.dump();
  const TestReply reply =
      ask(port_, "POST /v1/completions HTTP/1.0\r\nContent-Length: " + std::to_string(text.size()) +
                     "\r\n\r\n" + text);
  EXPECT_EQ(reply.head.find("chunked"), std::string::npos);
  EXPECT_EQ(streamed_text(reply), expected);
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

TEST_F(Serve, AStopLetsTextsEndAndASecondOneDoesNot) {
  ServerOptions options;
  options.connections.max_unsent_bytes = 512;
  options.grace = std::chrono::minutes(10);
  start(options);
  Json body = request_of(20, 60, 2);
  const std::string expected = alone(body).text;
  body["stream"] = true;
  {
    TestClient client(port_);
    client.send(post_text("/v1/completions", body.dump()));
    std::string all = client.receive();
    server_->stop();
    all += client.receive_all();
    EXPECT_EQ(streamed_text(parse_reply(all)), expected);
    server_->wait();
  }
  server_.reset();
  start(options);
  body["logprobs"] = 20;
  body["max_tokens"] = 480;
  TestClient client(port_, TestClient::kSlow);
  client.send(post_text("/v1/completions", body.dump()));
  EXPECT_NE(client.receive(), "");
  server_->stop();
  server_->stop();
  server_->wait();  // ends although nobody reads the text
  EXPECT_EQ(client.receive_all().find("[DONE]"), std::string::npos);
}

TEST_F(Serve, APingComesWhileThereIsNothingToSay) {
  ServerOptions options = parallel(1);
  options.connections.ping_every = std::chrono::milliseconds(1);
  options.connections.max_unsent_bytes = 512;
  start(options);
  Json body = request_of(20, 400, 2);
  body["stream"] = true;
  body["logprobs"] = 20;
  TestClient first(port_, TestClient::kSlow), second(port_);
  first.send(post_text("/v1/completions", body.dump()));
  await_metric("llamacpp:requests_processing", "1");
  second.send(post_text("/v1/completions", body.dump()));  // waits for the first
  EXPECT_NE(second.receive_until(": ping\n\n").find("text/event-stream"), std::string::npos);
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
