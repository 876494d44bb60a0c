#include "server/http_exchange.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "server/event_stream.h"

namespace longhaul {
namespace {

TEST(EventStream, AnEventIsOneLine) {
  EXPECT_EQ(event_of({{"a", "b\nc"}}), "data: {\"a\":\"b\\nc\"}\n\n");
  EXPECT_EQ(event_of({{"a", "\xff"}}), "data: {\"a\":\"\xef\xbf\xbd\"}\n\n");
}

TEST(HttpExchange, AnErrorBeforeTheFirstEventIsAReply) {
  HttpExchange exchange(100, [] {});
  exchange.begin_stream();
  exchange.fail(prompt_too_long(9, 8), openai_errors());
  const auto output = exchange.take();
  ASSERT_TRUE(output && output->reply);
  EXPECT_EQ(output->reply->status, 400U);
  EXPECT_TRUE(output->ends);
  EXPECT_NE(output->reply->body.find("\"n_prompt_tokens\":9,\"n_ctx\":8"), std::string::npos);
  EXPECT_FALSE(exchange.take());
  EXPECT_FALSE(exchange.write("data: late\n\n"));
}

TEST(HttpExchange, AnErrorAfterItIsTheLastEvent) {
  HttpExchange exchange(100, [] {});
  exchange.begin_stream();
  EXPECT_FALSE(exchange.take());
  ASSERT_TRUE(exchange.write("data: 1\n\n"));
  const auto first = exchange.take();
  ASSERT_TRUE(first && first->begins_stream && !first->ends);
  exchange.fail(internal_error("x"), openai_errors());
  const auto last = exchange.take();
  ASSERT_TRUE(last && last->ends && !last->begins_stream);
  EXPECT_EQ(last->events, event_of(openai_errors().document(internal_error("x"))));
  EXPECT_FALSE(exchange.take());
}

TEST(HttpExchange, APingBeginsTheStream) {
  HttpExchange exchange(100, [] {});
  exchange.begin_stream();
  exchange.ping();
  const auto output = exchange.take();
  ASSERT_TRUE(output && output->begins_stream);
  EXPECT_EQ(output->events, ": ping\n\n");
  exchange.fail(internal_error("x"), openai_errors());
  EXPECT_FALSE(exchange.take()->reply);  // the status was sent
}

TEST(HttpExchange, ASlowReaderHoldsUpItsWriterUntilItTakesOrGoes) {
  HttpExchange exchange(10, [] {});
  exchange.begin_stream();
  ASSERT_TRUE(exchange.write("0123456789"));
  bool second = false, fourth = true;
  std::jthread writer([&] {
    second = exchange.write("9876543210");  // waits until the first is taken and sent
    fourth = exchange.write("never");       // waits until the client is gone
  });
  std::string taken;
  while (taken.size() < 20) {
    if (const auto output = exchange.take()) taken += output->events;
  }
  // The second piece is under way: the writer waits on.
  exchange.abandon();
  writer.join();
  EXPECT_TRUE(second);
  EXPECT_FALSE(fourth);
  EXPECT_EQ(taken, "01234567899876543210");
  EXPECT_TRUE(exchange.gone().stop_requested());
}

}  // namespace
}  // namespace longhaul
