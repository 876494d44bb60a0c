#include "server/http_exchange.h"

#include <nlohmann/json.hpp>

#include "server/event_stream.h"

namespace longhaul {

void HttpExchange::reply(HttpReply reply) {
  {
    const std::lock_guard lock(mutex_);
    if (is_over_ || is_abandoned_) return;
    reply_ = std::move(reply);
    is_over_ = true;
  }
  wake_();
}

void HttpExchange::begin_stream() {
  {
    const std::lock_guard lock(mutex_);
    is_stream_ = true;
  }
  wake_();  // from now on it may have to ping
}

bool HttpExchange::write(std::string_view events) {
  {
    std::unique_lock lock(mutex_);
    taken_.wait(lock, [&] {
      return is_abandoned_ || is_over_ || pending_.size() + n_under_way_ < max_unsent_bytes_;
    });
    if (is_abandoned_ || is_over_) return false;
    pending_ += events;
  }
  wake_();
  return true;
}

void HttpExchange::end_stream(std::string_view events) {
  {
    const std::lock_guard lock(mutex_);
    if (!is_over_ && !is_abandoned_) pending_ += events;
    is_over_ = true;
  }
  wake_();
}

void HttpExchange::fail(const ApiError& error, const ErrorWords& words) {
  {
    const std::lock_guard lock(mutex_);
    if (is_over_ || is_abandoned_) return;
    is_over_ = true;
    if (has_begun_ || !pending_.empty()) {
      pending_ += words.events(error);
    } else {
      reply_ = to_reply(error, words);
      is_stream_ = false;
    }
  }
  wake_();
}

std::optional<HttpExchange::Output> HttpExchange::take() {
  const std::lock_guard lock(mutex_);
  n_under_way_ = 0;
  Output output;
  if (reply_) {
    output.reply = std::exchange(reply_, std::nullopt);
    output.ends = true;
  } else if (is_stream_ && (!pending_.empty() || is_over_)) {
    output.begins_stream = !std::exchange(has_begun_, true);
    output.events = std::exchange(pending_, {});
    output.ends = is_over_;
    n_under_way_ = output.events.size();
    if (is_over_) is_stream_ = false;  // the end is said once
  } else {
    taken_.notify_all();
    return std::nullopt;
  }
  taken_.notify_all();
  return output;
}

void HttpExchange::ping() {
  const std::lock_guard lock(mutex_);
  if (is_stream_ && !is_over_ && pending_.empty()) pending_ += kPing;
}

bool HttpExchange::is_stream() const {
  const std::lock_guard lock(mutex_);
  return is_stream_;
}

void HttpExchange::abandon() {
  {
    const std::lock_guard lock(mutex_);
    is_abandoned_ = true;
    taken_.notify_all();
  }
  gone_.request_stop();
}

}  // namespace longhaul
