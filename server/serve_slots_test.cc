// While the model is being loaded, and slots: what they show, saving and restoring.
#include <filesystem>

#include "io/test_dir.h"
#include "server/serve_fixture.h"

namespace longhaul {
namespace {

TEST(ServeLoading, AnswersAreRefusedUntilThereIsAModel) {
  auto server = Server::listen("127.0.0.1", 0, ConnectionLimits());
  ASSERT_TRUE(server) << server.error().message;
  const uint16_t port = (*server)->port();
  for (const char* path : {"/health", "/v1/models", "/metrics"}) {
    const TestReply reply = get(port, path);
    EXPECT_EQ(reply.status, 503U) << path;
    EXPECT_EQ(reply.json()["error"]["code"], "loading") << reply.body;
    EXPECT_NE(reply.head.find("Retry-After"), std::string::npos);
  }
  EXPECT_EQ(post(port, "/v1/completions", {{"prompt", "a"}}).status, 503U);

  EngineOptions options;
  options.model_path = write_tiny_model({});
  options.ctx_size = 128;
  const auto engine = Engine::load(options);
  ASSERT_TRUE(engine) << engine.error().message;
  ServerOptions server_options;
  server_options.n_parallel = 1;
  ASSERT_TRUE((*server)->serve(**engine, server_options));
  EXPECT_EQ((*server)->port(), port);
  EXPECT_EQ(get(port, "/health").status, 200U);
  EXPECT_EQ(post(port, "/v1/completions", {{"prompt", "a"}, {"max_tokens", 2}}).status, 200U);
  server->reset();  // before its engine
}

TEST(ServeLoading, StopsWithoutAModel) {
  auto server = Server::listen("127.0.0.1", 0, ConnectionLimits());
  ASSERT_TRUE(server);
  TestClient idle((*server)->port());
  (*server)->stop();
  (*server)->wait();
  EXPECT_EQ(idle.receive(), "");
}

class ServeSlots : public Serve {
 protected:
  void SetUp() override { options_.slot_folder = dir_.file("slots"); }

  TestReply act(const std::string& slot, const std::string& action, const Json& body = {}) {
    return post(port_, "/slots/" + slot + "?action=" + action, body, headers_);
  }
  Json slots() { return get(port_, "/slots", headers_).json(); }
  // What an answer to these tokens needed not read.
  size_t n_cached(const Json& body) {
    const Json reply = post(port_, "/v1/completions", body, headers_).json();
    return reply["usage"]["prompt_tokens_details"]["cached_tokens"];
  }

  TestDir dir_;
  ServerOptions options_ = parallel(2);
  std::string headers_;
};

TEST_F(ServeSlots, ATextIsSavedErasedAndRestored) {
  start(options_);
  Json body = request_of(200, 20, 2);
  body["id_slot"] = 1;
  const Json first = post(port_, "/v1/completions", body).json();
  EXPECT_EQ(slots().size(), 2U);
  EXPECT_EQ(slots()[1]["n_tokens"], 220);
  EXPECT_EQ(slots()[0]["n_tokens"], 0);

  const TestReply saved = act("1", "save", {{"filename", "text.bin"}});
  ASSERT_EQ(saved.status, 200U) << saved.body;
  EXPECT_GE(saved.json()["n_saved"], 200);
  EXPECT_EQ(saved.json()["n_written"], std::filesystem::file_size(dir_.file("slots/text.bin")));

  EXPECT_EQ(act("1", "erase").json()["n_erased"], 220);
  EXPECT_EQ(slots()[1]["n_tokens"], 0);
  EXPECT_EQ(act("1", "save", {{"filename", "text.bin"}}).status, 409U);
  // Nothing of it is kept any more: the prompt is read again, and then erased again.
  EXPECT_EQ(n_cached(body), 0U);
  act("1", "erase");

  const TestReply restored = act("0", "restore", {{"filename", "text.bin"}});
  ASSERT_EQ(restored.status, 200U) << restored.body;
  EXPECT_EQ(restored.json()["n_restored"], saved.json()["n_saved"]);
  EXPECT_EQ(restored.json()["n_read"], saved.json()["n_written"]);
  const Json again = post(port_, "/v1/completions", body).json();
  EXPECT_EQ(again["usage"]["prompt_tokens_details"]["cached_tokens"], 199);
  EXPECT_EQ(again["choices"][0]["text"], first["choices"][0]["text"]);
}

TEST_F(ServeSlots, ATextGoesOnInItsSlot) {
  start(options_);
  Json one = request_of(60, 4, 2), two = request_of(80, 4, 4);
  post(port_, "/v1/completions", one);
  post(port_, "/v1/completions", two);
  const Json before = slots();
  EXPECT_NE(before[0]["n_tokens"], before[1]["n_tokens"]);
  const size_t slot = before[0]["n_tokens"] == 84 ? 0 : 1;
  std::vector<int32_t> longer = two["prompt"];
  longer.push_back(5);
  two["prompt"] = longer;
  post(port_, "/v1/completions", two);
  EXPECT_EQ(slots()[slot]["n_tokens"], 85);
  EXPECT_EQ(slots()[1 - slot]["n_tokens"], 64);
}

TEST_F(ServeSlots, ARunningTextShowsWhatItAttendsTo) {
  start(options_);
  Json body = request_of(300, 150, 2);
  body["stream"] = true;
  body["longhaul"] = {{"attention", "resa"}, {"min_blocks", 4}, {"sparse_ratio", 0.05}};
  TestClient client(port_);
  client.send(post_text("/v1/completions", body.dump(), "Longhaul-Request-Id: seen\r\n"));
  Json seen;
  while (seen.is_null()) {
    for (const Json& slot : slots()) {
      if (!slot.contains("longhaul") || slot["longhaul"]["strip"].is_null()) continue;
      seen = slot["longhaul"];
    }
    if (get(port_, "/longhaul/requests/seen").json()["state"] == "done") break;
  }
  ASSERT_FALSE(seen.is_null()) << "the text was over before anybody looked";
  EXPECT_EQ(seen["request_id"], "seen");
  EXPECT_EQ(seen["attention"], "resa");
  const std::string strip = seen["strip"];
  EXPECT_GE(strip.size(), 300U / 16);
  EXPECT_EQ(strip.back(), '9');
  EXPECT_NE(strip.find('0'), std::string::npos);
  EXPECT_EQ(strip.find_first_not_of("0123456789"), std::string::npos);
}

TEST_F(ServeSlots, WrongRequestsAreRefusedInWords) {
  start(options_);
  EXPECT_EQ(act("2", "save", {{"filename", "a"}}).status, 404U);
  EXPECT_EQ(act("x", "save", {{"filename", "a"}}).status, 404U);
  EXPECT_EQ(act("0", "burn").json()["error"]["param"], "action");
  EXPECT_EQ(act("0", "restore", {{"filename", "none"}}).status, 404U);
  for (const char* name : {"", "..", "../a", "a/b", ".hidden", "a\nb"}) {
    const TestReply reply = act("0", "restore", {{"filename", name}});
    EXPECT_EQ(reply.status, 400U) << name;
    EXPECT_EQ(reply.json()["error"]["param"], "filename");
  }
  EXPECT_EQ(act("0", "restore", {{"filename", 5}}).status, 400U);
  Json body = request_of(10, 1, 2);
  body["id_slot"] = 2;
  EXPECT_EQ(post(port_, "/v1/completions", body).json()["error"]["param"], "id_slot");
}

TEST_F(ServeSlots, WithoutAFolderNothingIsSaved) {
  start(parallel(2));
  post(port_, "/v1/completions", request_of(60, 4, 2));
  EXPECT_EQ(act("0", "save", {{"filename", "a"}}).status, 501U);
  EXPECT_EQ(act("0", "restore", {{"filename", "a"}}).status, 501U);
  EXPECT_EQ(act("0", "erase").status, 200U);
}

TEST_F(ServeSlots, DamagedFilesAreRefused) {
  start(options_);
  post(port_, "/v1/completions", request_of(60, 4, 2));
  const std::string slot = slots()[0]["n_tokens"] == 64 ? "0" : "1";
  ASSERT_EQ(act(slot, "save", {{"filename", "a"}}).status, 200U);
  std::filesystem::resize_file(dir_.file("slots/a"), 1000);
  const TestReply reply = act("0", "restore", {{"filename", "a"}});
  EXPECT_EQ(reply.status, 400U) << reply.body;
  EXPECT_EQ(slots()[std::stoul(slot)]["n_tokens"], 64);
}

TEST_F(ServeSlots, OwnersDoNotSeeEachOther) {
  options_.api_keys = {"one", "two"};
  start(options_);
  headers_ = "Authorization: Bearer one\r\n";
  Json body = request_of(60, 4, 2);
  body["id_slot"] = 0;
  post(port_, "/v1/completions", body, headers_);
  ASSERT_EQ(act("0", "save", {{"filename", "a"}}).status, 200U);
  headers_ = "Authorization: Bearer two\r\n";
  EXPECT_EQ(slots()[0]["n_tokens"], 0);
  EXPECT_EQ(act("0", "save", {{"filename", "b"}}).status, 409U);
  EXPECT_EQ(act("0", "restore", {{"filename", "a"}}).status, 404U);
  headers_ = "";
  EXPECT_EQ(get(port_, "/slots").status, 401U);
}

}  // namespace
}  // namespace longhaul
