// What one request's answer is made of on its way from the threads that write it to the connection
// that sends it.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "server/api_error.h"
#include "server/http.h"

namespace longhaul {

class HttpExchange : public Exchange {
 public:
  // `wake` tells the connection, by any thread, that there is something to take().
  HttpExchange(size_t max_unsent_bytes, std::function<void()> wake)
      : max_unsent_bytes_(max_unsent_bytes), wake_(std::move(wake)) {}

  void reply(HttpReply reply) override;
  void begin_stream() override;
  bool write(std::string_view events) override;
  void end_stream(std::string_view events) override;
  void fail(const ApiError& error, const ErrorWords& words) override;
  std::stop_token gone() const override { return gone_.get_token(); }

  // For the connection. What is to be sent next: a reply, or a piece of the stream, the last one
  // marked. Pieces that were taken count as unsent until the next call.
  struct Output {
    std::optional<HttpReply> reply;
    bool begins_stream = false;  // the head of the stream is to go out first
    std::string events;
    bool ends = false;
  };
  std::optional<Output> take();
  // A stream that has nothing to say says that it is alive.
  void ping();
  bool is_stream() const;
  // The client is gone: nobody waits for it any more.
  void abandon();

 private:
  const size_t max_unsent_bytes_;
  const std::function<void()> wake_;
  std::stop_source gone_;
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable taken_;
  std::optional<HttpReply> reply_;
  std::string pending_;
  size_t n_under_way_ = 0;  // bytes of the piece that was taken last
  bool is_stream_ = false;  // begin_stream() was called
  bool has_begun_ = false;  // its head was taken
  bool is_over_ = false;    // nothing more will be said
  bool is_abandoned_ = false;
};

}  // namespace longhaul
