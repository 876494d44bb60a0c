// Clients that vanish, read slowly, ask one thing after the other, and servers that stop.
#include <gtest/gtest.h>

#include "server/serve_fixture.h"

namespace longhaul {
namespace {

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

}  // namespace
}  // namespace longhaul
