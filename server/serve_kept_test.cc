// Requests with an id: they go on without their clients, and in the next process.
#include <filesystem>

#include "server/request_store.h"
#include "server/serve_fixture.h"

namespace longhaul {
namespace {

class ServeKept : public Serve {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "requests-" +
            testing::UnitTest::GetInstance()->current_test_info()->name() + ".db";
    for (const char* end : {"", "-wal", "-shm"}) std::filesystem::remove(path_ + end);
  }
  void start_kept(std::vector<std::string> keys = {}) {
    ServerOptions options;
    options.requests_path = path_;
    options.api_keys = std::move(keys);
    options.grace = std::chrono::milliseconds(0);
    start(options);
  }

  // Sends a request and leaves once it has seen `part` of the answer, which is returned.
  std::string ask_and_leave(const std::string& id, const Json& body, const std::string& part) {
    TestClient client(port_);
    client.send(post_text("/v1/completions", body.dump(), "Longhaul-Request-Id: " + id + "\r\n"));
    return client.receive_until(part);
  }
  TestReply events(const std::string& id, const std::string& headers = "") {
    return get(port_, "/v1/longhaul/requests/" + id + "/events", headers);
  }
  Json show(const std::string& id) { return get(port_, "/longhaul/requests/" + id).json(); }

  std::string path_;
};

Json streamed(size_t n_prompt, size_t max_tokens, uint64_t seed) {
  Json body = request_of(n_prompt, max_tokens, seed);
  body["stream"] = true;
  return body;
}

TEST_F(ServeKept, AClientComesBackForTheRest) {
  start_kept();
  const Json body = streamed(40, 200, 3);
  EXPECT_NE(ask_and_leave("a.1", body, "id: 5\n").find("data: "), std::string::npos);
  const TestReply all = events("a.1");
  EXPECT_EQ(streamed_text(all), alone(body).text);
  EXPECT_EQ(all.other_lines().back(), "data: [DONE]");
  // From the tenth event on, asked for in both ways.
  const size_t tenth = all.body.find("id: 11\n");
  ASSERT_NE(tenth, std::string::npos);
  EXPECT_EQ(events("a.1", "Last-Event-ID: 10\r\n").body, all.body.substr(tenth));
  EXPECT_EQ(get(port_, "/v1/longhaul/requests/a.1/events?after=10").body, all.body.substr(tenth));
  const Json shown = show("a.1");
  EXPECT_EQ(shown["state"], "done");
  EXPECT_EQ(shown["tokens"], 200);
}

TEST_F(ServeKept, TheSameRequestAgainIsNotRunAgain) {
  start_kept();
  const Json body = request_of(30, 60, 5);
  const std::string header = "Longhaul-Request-Id: once\r\n";
  const TestReply first = post(port_, "/v1/completions", body, header);
  ASSERT_EQ(first.status, 200U) << first.body;
  EXPECT_EQ(first.json()["choices"][0]["text"], alone(body).text);
  EXPECT_EQ(first.json()["id"], "cmpl-once");
  EXPECT_EQ(post(port_, "/v1/completions", body, header).body, first.body);
  EXPECT_EQ(metric("longhaul:requests_failed_total"), "0");
  const TestReply other = post(port_, "/v1/completions", request_of(30, 61, 5), header);
  EXPECT_EQ(other.status, 409U);
  EXPECT_EQ(other.json()["error"]["code"], "request_id_taken");
}

// In every mode, with and without a temperature: events that were said are said again, the same.
TEST_F(ServeKept, TheNextProcessGoesOn) {
  size_t n_broken_off = 0, n_resumed = 0;
  const std::vector<std::string> modes = {"dense", "sparse", "resa", "exact"};
  for (size_t i = 0; i < 2 * modes.size(); ++i) {
    start_kept();
    Json body = streamed(60, 430, 10 + i);
    body["longhaul"] = {{"attention", modes[i / 2]}, {"sparse_ratio", 0.05}, {"min_blocks", 4}};
    const std::string id = "r" + std::to_string(i);
    const std::string begun = ask_and_leave(id, body, "id: 40\n");
    server_.reset();
    n_broken_off += RequestStore::open(path_).value()->running().value().size();
    start_kept();
    n_resumed += metric("longhaul:requests_resumed_total") == "1" ? 1 : 0;
    const TestReply all = events(id);
    const GenerateResult wanted = alone(body);
    EXPECT_EQ(streamed_text(all), wanted.text) << modes[i / 2];
    EXPECT_EQ(show(id)["tokens"], wanted.tokens.size());
    // Up to the last whole event that the first process said.
    const TestReply before = parse_reply(begun + "\r\n0\r\n\r\n");
    const std::string said = before.body.substr(0, before.body.rfind("\n\n") + 2);
    EXPECT_EQ(all.body.substr(0, said.size()), said);
    server_.reset();
  }
  EXPECT_GT(n_broken_off, 0U);
  EXPECT_EQ(n_resumed, n_broken_off);
}

TEST_F(ServeKept, ListCancelDelete) {
  start_kept();
  (void)ask_and_leave("long", streamed(30, 480, 7), "id: 1\n");
  EXPECT_EQ(ask(port_, post_text("/v1/longhaul/requests/long/cancel", "{}")).status, 200U);
  const TestReply cancelled = events("long");
  const Json state = show("long")["state"];
  EXPECT_TRUE(state == "cancelled" || state == "done") << state;  // it may have been quicker
  if (state == "cancelled") {
    EXPECT_EQ(cancelled.events().back()["error"]["code"], "cancelled");
  }
  const Json list = get(port_, "/longhaul/requests").json();
  ASSERT_EQ(list["data"].size(), 1U);
  EXPECT_EQ(list["data"][0]["id"], "long");
  const std::string remove =
      "DELETE /v1/longhaul/requests/long HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  EXPECT_EQ(ask(port_, remove).json()["deleted"], true);
  EXPECT_EQ(ask(port_, remove).status, 404U);
  EXPECT_EQ(show("long")["error"]["type"], "not_found_error");
}

TEST_F(ServeKept, NobodySeesTheRequestsOfAnotherKey) {
  start_kept({"one", "two"});
  const std::string one = "Authorization: Bearer one\r\n";
  const std::string two = "Authorization: Bearer two\r\n";
  const std::string id = "Longhaul-Request-Id: mine\r\n";
  ASSERT_EQ(post(port_, "/v1/completions", request_of(20, 5, 1), one + id).status, 200U);
  EXPECT_EQ(get(port_, "/longhaul/requests/mine", two).status, 404U);
  EXPECT_EQ(get(port_, "/longhaul/requests", two).json()["data"].size(), 0U);
  EXPECT_EQ(get(port_, "/longhaul/requests/mine", one).status, 200U);
  EXPECT_EQ(get(port_, "/longhaul/requests/mine").status, 401U);
  // The same id is another request there.
  EXPECT_EQ(post(port_, "/v1/completions", request_of(21, 5, 1), two + id).status, 200U);
}

TEST_F(ServeKept, WhatCannotBeKeptIsRefused) {
  start_kept();
  const auto refused = [&](const std::string& id, const Json& body) {
    return post(port_, "/v1/completions", body, "Longhaul-Request-Id: " + id + "\r\n");
  };
  EXPECT_EQ(refused("a b", request_of(20, 5, 1)).status, 400U);
  EXPECT_EQ(refused(std::string(129, 'x'), request_of(20, 5, 1)).status, 400U);
  Json two = request_of(20, 5, 1);
  two["n"] = 2;
  EXPECT_EQ(refused("two", two).json()["error"]["param"], "n");
  Json loose = request_of(20, 5, 1);
  loose["longhaul"] = {{"attention", "auto"}, {"auto_may", "resa"}};
  EXPECT_EQ(refused("loose", loose).json()["error"]["param"], "longhaul");
  EXPECT_EQ(events("none").status, 404U);
  EXPECT_EQ(get(port_, "/longhaul/requests").json()["data"].size(), 0U);
  // Mended, and then asked for badly.
  two["n"] = 1;
  EXPECT_EQ(refused("two", two).status, 200U);
  EXPECT_EQ(get(port_, "/longhaul/requests/two/events?after=x").status, 400U);
}

}  // namespace
}  // namespace longhaul
