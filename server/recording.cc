#include "server/recording.h"

#include <fmt/format.h>

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

// Numbers events and appends them; `ends`: where the events of the answer end.
void append(RecordedAnswer& answer, std::string_view events, std::vector<size_t>& ends) {
  for (size_t at = 0; at < events.size();) {
    const size_t end = end_of_event(events, at);
    answer.bytes += fmt::format("id: {}\n{}", ends.size() + 1, events.substr(at, end - at));
    ends.push_back(answer.bytes.size());
    at = end;
  }
}

// Words that were chosen when the answer failed: clients that come later get the same.
class SaidBefore : public ErrorWords {
 public:
  SaidBefore(const nlohmann::ordered_json& document, const std::string& events)
      : document_(document), events_(events) {}
  nlohmann::ordered_json document(const ApiError&) const override { return document_; }
  std::string events(const ApiError&) const override { return events_; }

 private:
  const nlohmann::ordered_json& document_;
  const std::string& events_;
};

}  // namespace

Recording::Recording(RecordedAnswer answer) : answer_(std::move(answer)), is_over_(true) {
  if (!answer_.is_stream) return;
  for (size_t at = 0; at < answer_.bytes.size();)
    ends_.push_back(at = end_of_event(answer_.bytes, at));
}

void Recording::reply(HttpReply reply) {
  {
    const std::lock_guard lock(mutex_);
    if (is_ending_) return;
    answer_.status = reply.status;
    answer_.bytes = std::move(reply.body);
  }
  end({}, nullptr);
}

void Recording::begin_stream() {
  const std::lock_guard lock(mutex_);
  answer_.is_stream = true;
  said_.notify_all();
}

bool Recording::write(std::string_view events) {
  const std::lock_guard lock(mutex_);
  if (is_ending_) return false;
  append(answer_, events, ends_);
  said_.notify_all();
  return !gone_.stop_requested();
}

void Recording::end_stream(std::string_view events) { end(events, nullptr); }

void Recording::fail(const ApiError& error, const ErrorWords& words) {
  ApiError said = error;
  bool says_event = false;
  {
    const std::lock_guard lock(mutex_);
    if (is_ending_) return;
    if (reason_) said = *reason_;
    says_event = answer_.is_stream && !ends_.empty();
    answer_.status = said.status;
    failure_ = Failure{said, words.document(said), words.events(said)};
  }
  if (says_event) return end(failure_->events, &said);
  {
    const std::lock_guard lock(mutex_);
    answer_.is_stream = false;
    answer_.bytes = dump(failure_->document);
  }
  end({}, &said);
}

void Recording::cancel(ApiError reason) {
  {
    const std::lock_guard lock(mutex_);
    reason_ = std::move(reason);
  }
  gone_.request_stop();
}

void Recording::end(std::string_view events, const ApiError* error) {
  RecordedAnswer answer;
  std::vector<size_t> ends;
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(is_ending_, true)) return;
    answer = answer_;
    ends = ends_;
  }
  append(answer, events, ends);
  if (ended_) ended_(answer, error);
  const std::lock_guard lock(mutex_);
  answer_ = std::move(answer);
  ends_ = std::move(ends);
  is_over_ = true;
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
  const std::optional<Failure> failure = failure_;
  lock.unlock();
  if (answer.is_stream) return client.end_stream({});
  if (failure) return client.fail(failure->error, SaidBefore(failure->document, failure->events));
  client.reply({.status = answer.status, .body = answer.bytes});
}

}  // namespace longhaul
