// An answer that is kept once it is over, and not before: it ends with its client.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "server/recording.h"

namespace longhaul {

// Passes everything on to the client. Of one choice, whose thread alone uses it.
class KeptAnswer : public Exchange {
 public:
  // Called once where the answer is over and has not failed, before the client is told its end.
  using Done = std::function<void(RecordedAnswer answer)>;
  KeptAnswer(std::shared_ptr<Exchange> client, Done done)
      : client_(std::move(client)), done_(std::move(done)) {}

  void reply(HttpReply reply) override {
    done_({false, reply.status, reply.body});
    client_->reply(std::move(reply));
  }
  void begin_stream() override { client_->begin_stream(); }
  bool write(std::string_view events) override {
    events_ += events;
    return client_->write(events);
  }
  void end_stream(std::string_view events) override {
    if (!gone().stop_requested()) done_({true, 200, events_ + std::string(events)});
    client_->end_stream(events);
  }
  void fail(const ApiError& error, const ErrorWords& words) override {
    client_->fail(error, words);
  }
  std::stop_token gone() const override { return client_->gone(); }

 private:
  const std::shared_ptr<Exchange> client_;
  const Done done_;
  std::string events_;
};

}  // namespace longhaul
