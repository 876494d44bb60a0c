#include "server/recording.h"

#include <gtest/gtest.h>

#include <thread>

namespace longhaul {
namespace {

// Notes what it is told.
class Client : public Exchange {
 public:
  void reply(HttpReply reply) override { said += reply.body; }
  void begin_stream() override { is_stream = true; }
  bool write(std::string_view events) override { return said += events, true; }
  void end_stream(std::string_view events) override {
    said += events;
    has_ended = true;
  }
  void fail(const ApiError& error, const ErrorWords&) override {
    said += "failed: " + error.message;
  }
  std::stop_token gone() const override { return stop.get_token(); }

  std::string said;
  bool is_stream = false, has_ended = false;
  std::stop_source stop;
};

std::shared_ptr<Recording> new_recording() {
  return std::make_shared<Recording>(Recording::Ended());
}

TEST(Recording, EventsAreNumberedAndSaidFromAnyOn) {
  const auto recording = new_recording();
  recording->begin_stream();
  EXPECT_TRUE(recording->write("data: 1\n\ndata: 2\n\n"));
  Client early, late;
  std::thread follower([&] { recording->follow(early, 0); });
  recording->write("data: 3\n\n");
  recording->end_stream({});
  EXPECT_FALSE(recording->write("data: 4\n\n"));
  follower.join();
  recording->follow(late, 2);
  EXPECT_EQ(early.said, "id: 1\ndata: 1\n\nid: 2\ndata: 2\n\nid: 3\ndata: 3\n\n");
  EXPECT_EQ(late.said, "id: 3\ndata: 3\n\n");
  EXPECT_TRUE(early.has_ended && late.has_ended);
  Client beyond;
  recording->follow(beyond, 9);
  EXPECT_EQ(beyond.said, "");
  EXPECT_TRUE(beyond.has_ended);
}

TEST(Recording, OneThatIsOverSaysTheSame) {
  const std::string events = "id: 1\ndata: 1\n\nid: 2\ndata: 2\n\n";
  Client client;
  std::make_shared<Recording>(RecordedAnswer{true, 200, events})->follow(client, 1);
  EXPECT_EQ(client.said, "id: 2\ndata: 2\n\n");
  Client other;
  std::make_shared<Recording>(RecordedAnswer{false, 200, "{}"})->follow(other, 0);
  EXPECT_EQ(other.said, "{}");
}

TEST(Recording, ErrorsAreTheReplyOrTheLastEvent) {
  const auto refused = new_recording();
  refused->begin_stream();
  refused->fail({.message = "bad"}, openai_errors());
  Client client;
  refused->follow(client, 0);
  EXPECT_EQ(client.said, "failed: bad");
  const auto broken = new_recording();
  broken->begin_stream();
  broken->write("data: 1\n\n");
  broken->fail({.message = "worse"}, openai_errors());
  Client other;
  broken->follow(other, 1);
  EXPECT_NE(other.said.find("id: 2\ndata: {\"error\""), std::string::npos) << other.said;
}

TEST(Recording, AClientThatLeavesEndsNothing) {
  const auto recording = new_recording();
  recording->begin_stream();
  Client client;
  std::thread follower([&] { recording->follow(client, 0); });
  client.stop.request_stop();
  follower.join();
  EXPECT_FALSE(recording->gone().stop_requested());
  recording->cancel({.message = "enough"});
  EXPECT_TRUE(recording->gone().stop_requested());
}

}  // namespace
}  // namespace longhaul
