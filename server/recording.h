// The answer to a request that does not end with its client: everything that is said is kept, and
// any number of clients can follow it from any event on.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "server/api_error.h"
#include "server/http.h"

namespace longhaul {

// An answer that is over. Events of streams are numbered from 1, by `id:` lines.
struct RecordedAnswer {
  bool is_stream = false;
  unsigned status = 200;
  std::string bytes;  // the reply's body, or all events
};

class Recording : public Exchange, public std::enable_shared_from_this<Recording> {
 public:
  // Called once, by the thread that ends the answer; `error`: it ends with one.
  using Ended = std::function<void(const RecordedAnswer& answer, const ApiError* error)>;
  explicit Recording(Ended ended) : ended_(std::move(ended)) {}
  // One that is over.
  explicit Recording(RecordedAnswer answer);

  void reply(HttpReply reply) override;
  void begin_stream() override;
  // Never waits: clients that read slowly hold up themselves.
  bool write(std::string_view events) override;
  // The answer is kept before clients are told the last events: who asks for it then, gets all.
  void end_stream(std::string_view events) override;
  void fail(const ApiError& error, const ErrorWords& words) override;
  std::stop_token gone() const override { return gone_.get_token(); }

  // Ends the answer from outside; what ends it then is said to be this.
  void cancel(ApiError reason);
  // Says to a client what was said after event `after`, and what will be. Returns when the answer
  // is over or the client is gone.
  void follow(Exchange& client, size_t after);

 private:
  void end(std::string_view events, const ApiError* error);

  const Ended ended_;
  std::stop_source gone_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable said_;
  RecordedAnswer answer_;
  std::vector<size_t> ends_;  // of the events in answer_.bytes
  bool is_ending_ = false;
  bool is_over_ = false;
  // That it ended with, and how that is said.
  struct Failure {
    ApiError error;
    nlohmann::ordered_json document;
    std::string events;
  };
  std::optional<Failure> failure_;
  std::optional<ApiError> reason_;  // of cancel()
};

}  // namespace longhaul
