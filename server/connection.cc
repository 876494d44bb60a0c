#include "server/connection.h"

#include <fmt/format.h>

#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/read.hpp>
#include <charconv>

#include "base/check.h"

namespace longhaul {
namespace {

namespace http = boost::beast::http;
namespace asio = boost::asio;

// A piece of a request that came before its turn; more must wait in the socket.
constexpr size_t kMostAhead = 4096;
// How long the rest of a refused request is read and dropped.
constexpr auto kLinger = std::chrono::milliseconds(1000);

std::string text_of(boost::beast::string_view text) { return {text.data(), text.size()}; }

template <class Message>
std::string bearer_of(const Message& message) {
  const std::string value = text_of(message[http::field::authorization]);
  constexpr std::string_view kScheme = "Bearer ";
  if (boost::beast::iequals(value.substr(0, kScheme.size()), kScheme))
    return value.substr(kScheme.size());
  return text_of(message["x-api-key"]);
}

template <class Message>
HttpRequest head_of_request(const Message& message) {
  HttpRequest request;
  request.method = text_of(message.method_string());
  const std::string target = text_of(message.target());
  const size_t query = target.find('?');
  request.path = target.substr(0, query);
  if (query != std::string::npos) request.query = target.substr(query + 1);
  request.key = bearer_of(message);
  request.origin = text_of(message[http::field::origin]);
  request.request_id = text_of(message["Longhaul-Request-Id"]);
  const std::string last = text_of(message["Last-Event-ID"]);
  // What is no number is no event of this server's.
  (void)std::from_chars(last.data(), last.data() + last.size(), request.last_event_id);
  return request;
}

std::string status_line(unsigned status) {
  return fmt::format("HTTP/1.1 {} {}\r\n", status,
                     text_of(http::obsolete_reason(http::int_to_status(status))));
}

}  // namespace

Connection::Connection(asio::ip::tcp::socket socket, const ConnectionLimits& limits,
                       RequestHandler& handler, std::function<void()> closed)
    : socket_(std::move(socket)),
      limits_(limits),
      handler_(handler),
      closed_(std::move(closed)),
      deadline_(socket_.get_executor()),
      ping_(socket_.get_executor()) {
  ErrorCode ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket_.non_blocking(true, ignored);
  // The system's buffer counts too: else megabytes would be on their way to a slow reader.
  const auto n_unsent = static_cast<int>(limits_.max_unsent_bytes);
  socket_.set_option(asio::socket_base::send_buffer_size(n_unsent), ignored);
}

Connection::~Connection() { close(); }

void Connection::read_head(Duration timeout) {
  parser_.emplace();
  parser_->header_limit(limits_.max_head_bytes);
  parser_->body_limit(limits_.max_body_bytes);
  arm(timeout);
  http::async_read_header(
      socket_, buffer_, *parser_,
      [self = shared_from_this()](ErrorCode error, size_t) { self->on_head(error); });
}

void Connection::on_head(ErrorCode error) {
  if (error) return refuse_unreadable(error);
  request_ = head_of_request(parser_->get());
  keeps_alive_ = parser_->get().keep_alive();
  is_chunked_ = parser_->get().version() >= 11;
  if (auto reply = handler_.check(request_)) return refuse(std::move(*reply));
  if (!boost::beast::iequals(parser_->get()[http::field::expect], "100-continue"))
    return read_body();
  sending_ = "HTTP/1.1 100 Continue\r\n\r\n";
  asio::async_write(socket_, asio::buffer(sending_),
                    [self = shared_from_this()](ErrorCode failed, size_t) {
                      failed ? self->close() : self->read_body();
                    });
}

void Connection::read_body() {
  arm(limits_.body_timeout);
  http::async_read(socket_, buffer_, *parser_,
                   [self = shared_from_this()](ErrorCode error, size_t) { self->on_body(error); });
}

void Connection::on_body(ErrorCode error) {
  if (error) return refuse_unreadable(error);
  disarm();
  std::string body = std::move(parser_->get().body());
  parser_.reset();
  answer(std::move(body));
}

// What is left of the request is not read: the connection ends after the reply.
void Connection::refuse(HttpReply reply) {
  disarm();
  keeps_alive_ = false;
  exchange_ = std::make_shared<HttpExchange>(limits_.max_unsent_bytes, [] {});
  exchange_->reply(std::move(reply));
  pump();
}

void Connection::refuse_unreadable(ErrorCode error) {
  const auto refuse_with = [&](unsigned status, std::string message) {
    refuse(to_reply({.status = status, .message = std::move(message)}, openai_errors()));
  };
  if (error == http::error::body_limit) {
    return refuse_with(413, fmt::format("the body: expected at most {} bytes, found more",
                                        limits_.max_body_bytes));
  }
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return refuse_with(431, fmt::format("the headers: expected at most {} bytes, found more",
                                        limits_.max_head_bytes));
  }
  const bool is_of_parser =
      error.category() == http::make_error_code(http::error::bad_method).category();
  const bool is_cut = error == http::error::end_of_stream || error == http::error::partial_message;
  if (!is_of_parser || is_cut) return close();
  refuse_with(400,
              fmt::format("expected a request of HTTP/1.1, found one with: {}", error.message()));
}

void Connection::answer(std::string body) {
  const auto wake = [weak = weak_from_this(), executor = socket_.get_executor()] {
    asio::post(executor, [weak] {
      if (const auto self = weak.lock()) self->pump();
    });
  };
  exchange_ = std::make_shared<HttpExchange>(limits_.max_unsent_bytes, wake);
  watch();
  HttpRequest request = request_;
  request.body = std::move(body);
  handler_.handle(std::move(request), exchange_);
}

void Connection::pump() {
  if (is_sending_ || !exchange_ || !socket_.is_open()) return;
  if (auto output = exchange_->take()) return send(std::move(*output));
  if (exchange_->is_stream()) arm_ping();
}

void Connection::send(HttpExchange::Output output) {
  is_sending_ = true;
  ends_after_ = output.ends;
  ping_.cancel();
  sending_.clear();
  if (output.reply) {
    sending_ = head_of(*output.reply);
    if (request_.method != "HEAD") sending_ += output.reply->body;
  } else {
    if (output.begins_stream) sending_ = stream_head();
    if (!is_chunked_) keeps_alive_ = false;
    if (!output.events.empty() && is_chunked_) {
      sending_ += fmt::format("{:x}\r\n{}\r\n", output.events.size(), output.events);
    } else {
      sending_ += output.events;
    }
    if (output.ends && is_chunked_) sending_ += "0\r\n\r\n";
  }
  arm(limits_.send_timeout);
  asio::async_write(socket_, asio::buffer(sending_),
                    [self = shared_from_this()](ErrorCode error, size_t) { self->on_sent(error); });
}

void Connection::on_sent(ErrorCode error) {
  disarm();
  is_sending_ = false;
  if (error) return close();
  if (!ends_after_) return pump();
  is_watching_ = false;
  exchange_.reset();
  ping_.cancel();
  if (keeps_alive_ && !is_stopping_) return read_head(limits_.idle_timeout);
  ErrorCode ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  arm(kLinger);
  linger();
}

void Connection::linger() {
  buffer_.clear();
  socket_.async_read_some(buffer_.prepare(kMostAhead),
                          [self = shared_from_this()](ErrorCode error, size_t) {
                            error ? self->close() : self->linger();
                          });
}

std::string Connection::head_of(const HttpReply& reply) const {
  std::string head = status_line(reply.status);
  head += fmt::format("Content-Type: {}\r\nContent-Length: {}\r\n", reply.content_type,
                      reply.body.size());
  for (const auto& [name, value] : reply.headers) head += fmt::format("{}: {}\r\n", name, value);
  for (const auto& [name, value] : handler_.headers(request_))
    head += fmt::format("{}: {}\r\n", name, value);
  head += keeps_alive_ && !is_stopping_ ? "Connection: keep-alive\r\n" : "Connection: close\r\n";
  return head + "\r\n";
}

std::string Connection::stream_head() const {
  std::string head = status_line(200);
  head += "Content-Type: text/event-stream\r\nCache-Control: no-cache\r\nX-Accel-Buffering: no\r\n";
  for (const auto& [name, value] : handler_.headers(request_))
    head += fmt::format("{}: {}\r\n", name, value);
  if (is_chunked_) head += "Transfer-Encoding: chunked\r\n";
  head += keeps_alive_ && is_chunked_ ? "Connection: keep-alive\r\n" : "Connection: close\r\n";
  return head + "\r\n";
}

void Connection::watch() {
  is_watching_ = true;
  if (is_watch_set_) return;
  is_watch_set_ = true;
  socket_.async_wait(asio::ip::tcp::socket::wait_read,
                     [self = shared_from_this()](ErrorCode error) {
                       self->is_watch_set_ = false;
                       if (!error && self->is_watching_) self->on_readable();
                     });
}

void Connection::on_readable() {
  ErrorCode error;
  const size_t n_bytes = socket_.read_some(buffer_.prepare(kMostAhead), error);
  if (error == asio::error::would_block) return watch();
  if (error || n_bytes == 0) return close();
  buffer_.commit(n_bytes);  // of the next request
  if (buffer_.size() < kMostAhead) watch();
}

void Connection::arm(Duration timeout) {
  deadline_.expires_after(timeout);
  deadline_.async_wait([weak = weak_from_this()](ErrorCode error) {
    const auto self = weak.lock();
    if (error || !self || self->deadline_.expiry() > std::chrono::steady_clock::now()) return;
    self->close();
  });
}

void Connection::arm_ping() {
  if (limits_.ping_every.count() == 0) return;
  ping_.expires_after(limits_.ping_every);
  ping_.async_wait([weak = weak_from_this()](ErrorCode error) {
    const auto self = weak.lock();
    if (error || !self || !self->exchange_) return;
    self->exchange_->ping();
    self->pump();
  });
}

void Connection::stop() {
  is_stopping_ = true;
  if (!exchange_) close();
}

void Connection::close() {
  ErrorCode ignored;
  socket_.close(ignored);
  disarm();
  ping_.cancel();
  if (exchange_) exchange_->abandon();
  exchange_.reset();
  if (const auto closed = std::exchange(closed_, nullptr)) closed();
}

}  // namespace longhaul
