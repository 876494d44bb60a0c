// A server in the test's own process, with a tiny model, and what its engine says alone.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>

#include "server/server.h"
#include "server/test_client.h"
#include "tests/tiny_model.h"

namespace longhaul {

using Json = nlohmann::json;

inline constexpr size_t kContext = 512;

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
    engine_options.chat_template_path = chat_template_path_;
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

  std::string chat_template_path_;  // of the next start(); empty: none
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Server> server_;
  uint16_t port_ = 0;
};

inline ServerOptions parallel(size_t n_parallel) {
  ServerOptions options;
  options.n_parallel = n_parallel;
  return options;
}

inline Json request_of(size_t n_prompt, size_t max_tokens, uint64_t seed) {
  return {{"prompt", random_tokens(n_prompt, seed)},
          {"max_tokens", max_tokens},
          {"temperature", seed % 2 == 0 ? 0.0 : 1.0},
          {"seed", seed},
          {"ignore_eos", true}};
}

inline std::string streamed_text(const TestReply& reply) {
  std::string text;
  for (const Json& event : reply.events()) {
    for (const Json& choice : event["choices"]) text += choice["text"].get<std::string>();
  }
  return text;
}

}  // namespace longhaul
