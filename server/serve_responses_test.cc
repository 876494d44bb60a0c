// /responses in a whole server: kept, gone on from, in the background, after a restart.
#include <filesystem>
#include <fstream>

#include "server/request_store.h"
#include "server/serve_fixture.h"

namespace longhaul {
namespace {

constexpr const char* kTemplate =
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>";

class ServeResponses : public Serve {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "responses-" +
            testing::UnitTest::GetInstance()->current_test_info()->name();
    for (const char* end : {".db", ".db-wal", ".db-shm"}) std::filesystem::remove(path_ + end);
  }
  void start_with_chat(ServerOptions options = {}) {
    chat_template_path_ = path_ + ".jinja";
    std::ofstream(chat_template_path_, std::ios::binary) << kTemplate;
    options.requests_path = path_ + ".db";
    options.grace = std::chrono::milliseconds(0);
    start(options);
  }
  static Json request(const Json& fields) {
    Json body = {
        {"input", "Hi"}, {"max_output_tokens", 30}, {"temperature", 0}, {"ignore_eos", true}};
    if (fields.is_object()) body.update(fields);
    return body;
  }
  Json respond(const Json& fields) {
    const TestReply reply = post(port_, "/v1/responses", request(fields));
    EXPECT_EQ(reply.status, 200U) << reply.body;
    return reply.json();
  }
  TestReply show(const std::string& id, const std::string& query = "") {
    return get(port_, "/v1/responses/" + id + query);
  }
  Json await_end(const std::string& id) {
    Json response = show(id).json();
    while (response["status"] == "in_progress") {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      response = show(id).json();
    }
    return response;
  }
  TestReply cancel(const std::string& id) {
    return ask(port_, post_text("/v1/responses/" + id + "/cancel", ""));
  }
  TestReply remove(const std::string& id) {
    return ask(port_,
               "DELETE /v1/responses/" + id + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  }
  static std::string text_of(const Json& response) {
    return response["output"].at(0)["content"].at(0)["text"];
  }

  std::string path_;
};

TEST_F(ServeResponses, SayWhatChatSays) {
  start_with_chat();
  const Json chat = post(port_, "/v1/chat/completions",
                         {{"messages", {{{"role", "user"}, {"content", "Hi"}}}},
                          {"max_tokens", 30},
                          {"temperature", 0},
                          {"ignore_eos", true}})
                        .json();
  const Json whole = respond({});
  EXPECT_EQ(text_of(whole), chat["choices"][0]["message"]["content"]);
  EXPECT_EQ(whole["status"], "incomplete");
  const TestReply streamed = post(port_, "/v1/responses", request({{"stream", true}}));
  EXPECT_EQ(text_of(streamed.events().back()["response"]), text_of(whole));
}

TEST_F(ServeResponses, AreKeptUnlessToldOtherwise) {
  start_with_chat();
  const Json whole = respond({});
  EXPECT_EQ(show(whole["id"]).json(), whole);
  const Json streamed =
      post(port_, "/v1/responses", request({{"stream", true}})).events().back()["response"];
  EXPECT_EQ(show(streamed["id"]).json(), streamed);
  const Json forgotten = respond({{"store", false}});
  EXPECT_EQ(show(forgotten["id"]).status, 404U);
  EXPECT_EQ(remove(whole["id"]).json()["deleted"], true);
  EXPECT_EQ(show(whole["id"]).status, 404U);
  EXPECT_EQ(remove(whole["id"]).status, 404U);
  // Other kinds of kept requests are no responses.
  Json completion = request_of(20, 5, 1);
  ASSERT_EQ(post(port_, "/v1/completions", completion, "Longhaul-Request-Id: c\r\n").status, 200U);
  EXPECT_EQ(show("resp_c").status, 404U);
}

TEST_F(ServeResponses, GoOnFromThoseBefore) {
  start_with_chat();
  const Json first = respond({{"instructions", "be brief"}});
  const Json second = respond({{"input", "And?"}, {"previous_response_id", first["id"]}});
  const Json third = respond({{"input", {{{"role", "user"}, {"content", "So?"}}}},
                              {"previous_response_id", second["id"]},
                              {"instructions", "x"}});
  std::string prompt = "<user>Hi<assistant>" + text_of(first) + "<user>And?<assistant>";
  EXPECT_EQ(second["usage"]["input_tokens"], prompt.size());  // a token for each byte
  prompt = "<system>x" + prompt + text_of(second) + "<user>So?<assistant>";
  EXPECT_EQ(third["usage"]["input_tokens"], prompt.size());
  EXPECT_EQ(third["previous_response_id"], second["id"]);
  const TestReply none =
      post(port_, "/v1/responses", request({{"previous_response_id", "resp_none"}}));
  EXPECT_EQ(none.status, 400U);
  EXPECT_EQ(none.json()["error"]["code"], "previous_response_not_found");
}

TEST_F(ServeResponses, RunInTheBackground) {
  start_with_chat();
  const Json foreground = respond({});
  const Json begun = respond({{"background", true}});
  EXPECT_EQ(begun["background"], true);
  const Json done = await_end(begun["id"]);
  EXPECT_EQ(done["id"], begun["id"]);
  EXPECT_EQ(text_of(done), text_of(foreground));
  // What is refused is refused at once, and not kept.
  const TestReply bad =
      post(port_, "/v1/responses",
           request({{"background", true}, {"instructions", std::string(600, 'x')}}));
  EXPECT_EQ(bad.json()["error"]["code"], "context_length_exceeded");
  EXPECT_EQ(get(port_, "/longhaul/requests").json()["data"].size(), 2U);
}

TEST_F(ServeResponses, AStreamIsFollowedFromAnyEvent) {
  start_with_chat();
  const TestReply all =
      post(port_, "/v1/responses", request({{"background", true}, {"stream", true}}));
  const std::vector<Json> events = all.events();
  ASSERT_GT(events.size(), 10U) << all.body;
  EXPECT_EQ(events[0]["type"], "response.created");
  const std::string id = events[0]["response"]["id"];
  const TestReply rest = show(id, "?stream=true&starting_after=5");
  EXPECT_EQ(rest.events(), std::vector<Json>(events.begin() + 6, events.end()));
  EXPECT_EQ(rest.events().front()["sequence_number"], 6);
  EXPECT_EQ(show(id, "?stream=true").events(), events);
  EXPECT_EQ(show(id).json(), events.back()["response"]);
  EXPECT_EQ(show(id, "?stream=true&starting_after=x").json()["error"]["param"], "starting_after");
  EXPECT_EQ(show(respond({})["id"], "?stream=true").status, 400U);
}

TEST_F(ServeResponses, AreCancelled) {
  start_with_chat();
  for (const bool is_stream : {false, true}) {
    TestClient client(port_);
    client.send(post_text(
        "/v1/responses",
        request({{"background", true}, {"stream", is_stream}, {"max_output_tokens", 470}}).dump()));
    const std::string said = client.receive_until("\"object\":\"response\"");
    const size_t at = said.find("resp_");
    ASSERT_NE(at, std::string::npos) << said;
    const std::string id = said.substr(at, 29);
    EXPECT_EQ(cancel(id).status, 200U);
    const Json ended = await_end(id);
    // It may have been quicker.
    EXPECT_TRUE(ended["status"] == "cancelled" || ended["status"] == "incomplete") << ended;
    EXPECT_EQ(cancel(id).json(), ended);
  }
  EXPECT_EQ(cancel("resp_none").status, 404U);
}

TEST_F(ServeResponses, GoOnAfterARestart) {
  start_with_chat();
  const Json first = respond({{"max_output_tokens", 10}});
  const Json fields = {
      {"background", true}, {"max_output_tokens", 400}, {"previous_response_id", first["id"]}};
  Json foreground = fields;
  foreground["background"] = false;
  const Json wanted = respond(foreground);
  const Json begun = respond(fields);
  server_.reset();
  const size_t n_broken_off = RequestStore::open(path_ + ".db").value()->running().value().size();
  start_with_chat();
  EXPECT_EQ(metric("longhaul:requests_resumed_total"), std::to_string(n_broken_off));
  EXPECT_EQ(text_of(await_end(begun["id"])), text_of(wanted));
}

TEST_F(ServeResponses, TheSameRequestAgainIsNotRunAgain) {
  start_with_chat();
  const std::string header = "Longhaul-Request-Id: once\r\n";
  const TestReply first = post(port_, "/v1/responses", request({}), header);
  EXPECT_EQ(first.json()["id"], "resp_once") << first.body;
  EXPECT_EQ(post(port_, "/v1/responses", request({}), header).body, first.body);
  const Json background = request({{"background", true}});
  EXPECT_EQ(post(port_, "/v1/responses", background, header).status, 409U);
  const std::string other = "Longhaul-Request-Id: other\r\n";
  ASSERT_EQ(post(port_, "/v1/responses", background, other).status, 200U);
  const Json done = await_end("resp_other");
  EXPECT_EQ(post(port_, "/v1/responses", background, other).json(), done);
}

TEST_F(ServeResponses, NobodySeesThoseOfAnotherKey) {
  ServerOptions options;
  options.api_keys = {"one", "two"};
  start_with_chat(options);
  const std::string one = "Authorization: Bearer one\r\n", two = "Authorization: Bearer two\r\n";
  const Json mine = post(port_, "/v1/responses", request({}), one).json();
  const std::string path = "/v1/responses/" + mine["id"].get<std::string>();
  EXPECT_EQ(get(port_, path, two).status, 404U);
  EXPECT_EQ(get(port_, path, one).json(), mine);
  EXPECT_EQ(
      post(port_, "/v1/responses", request({{"previous_response_id", mine["id"]}}), two).status,
      400U);
}

}  // namespace
}  // namespace longhaul
