#include "server/recording.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "server/event_stream.h"

namespace longhaul {
namespace {

// Events that go to a client at once.
constexpr size_t kPiece = 16 << 10;

// The end of the event that begins at `at`.
size_t end_of_event(std::string_view events, size_t at) {
  const size_t blank = events.find("\n\n", at);
  return blank == std::string_view::npos ? events.size() : blank + 2;
}

}  // namespace

Recording::Recording(RecordedAnswer answer) : answer_(std::move(answer)), is_over_(true) {
  if (!answer_.is_stream) return;
  for (size_t at = 0; at < answer_.bytes.size();)
    ends_.push_back(at = end_of_event(answer_.bytes, at));
}

void Recording::reply(HttpReply reply) {
  {
    const std::lock_guard lock(mutex_);
    if (is_over_) return;
    answer_.status = reply.status;
    answer_.bytes = std::move(reply.body);
  }
  end(nullptr);
}

void Recording::begin_stream() {
  const std::lock_guard lock(mutex_);
  answer_.is_stream = true;
  said_.notify_all();
}

bool Recording::write(std::string_view events) {
  const std::lock_guard lock(mutex_);
  if (is_over_) return false;
  for (size_t at = 0; at < events.size();) {
    const size_t end = end_of_event(events, at);
    answer_.bytes += fmt::format("id: {}\n{}", ends_.size() + 1, events.substr(at, end - at));
    ends_.push_back(answer_.bytes.size());
    at = end;
  }
  said_.notify_all();
  return !gone_.stop_requested();
}

void Recording::end_stream() { end(nullptr); }

void Recording::fail(const ApiError& error) {
  ApiError said = error;
  bool says_event = false;
  {
    const std::lock_guard lock(mutex_);
    if (is_over_) return;
    if (reason_) said = *reason_;
    says_event = answer_.is_stream && !ends_.empty();
    answer_.status = said.status;
    error_ = said;
  }
  if (says_event) {
    write(event_of(to_json(said)));
  } else {
    const std::lock_guard lock(mutex_);
    answer_.is_stream = false;
    answer_.bytes = to_reply(said).body;
  }
  end(&said);
}

void Recording::cancel(ApiError reason) {
  {
    const std::lock_guard lock(mutex_);
    reason_ = std::move(reason);
  }
  gone_.request_stop();
}

void Recording::end(const ApiError* error) {
  RecordedAnswer answer;
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(is_over_, true)) return;
    answer = answer_;
  }
  if (ended_) ended_(answer, error);
  said_.notify_all();
}

void Recording::follow(Exchange& client, size_t after) {
  const std::stop_token gone = client.gone();
  const std::stop_callback wake(gone, [this] {
    const std::lock_guard lock(mutex_);
    said_.notify_all();
  });
  std::unique_lock lock(mutex_);
  said_.wait(lock, [&] { return is_over_ || answer_.is_stream || gone.stop_requested(); });
  if (answer_.is_stream) {
    lock.unlock();
    client.begin_stream();
    lock.lock();
  }
  size_t next = after;  // number of events that the client has
  while (answer_.is_stream) {
    said_.wait(lock, [&] { return is_over_ || next < ends_.size() || gone.stop_requested(); });
    if (gone.stop_requested() || next >= ends_.size()) break;
    const size_t begin = next == 0 ? 0 : ends_[next - 1];
    do {
      ++next;
    } while (next < ends_.size() && ends_[next] - begin <= kPiece);
    const std::string piece = answer_.bytes.substr(begin, ends_[next - 1] - begin);
    lock.unlock();
    const bool is_there = client.write(piece);
    lock.lock();
    if (!is_there) return;
  }
  if (gone.stop_requested()) return;
  const RecordedAnswer answer = answer_.is_stream ? RecordedAnswer{true, 200, {}} : answer_;
  const std::optional<ApiError> error = error_;
  lock.unlock();
  if (answer.is_stream) return client.end_stream();
  if (error) return client.fail(*error);
  client.reply({.status = answer.status, .body = answer.bytes});
}

}  // namespace longhaul
