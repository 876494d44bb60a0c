// One client's connection: requests in, answers out, one after the other. All of it runs on the
// thread of the executor; limits and times are kept here.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "server/http_exchange.h"
#include "server/server_options.h"

namespace longhaul {

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  // The handler must outlive it; `closed` is called once, when the connection is over.
  Connection(boost::asio::ip::tcp::socket socket, const ConnectionLimits& limits,
             RequestHandler& handler, std::function<void()> closed);
  ~Connection();

  void start() { read_head(limits_.head_timeout); }
  // Ends it: at once where no request is being answered, else after the answer.
  void stop();
  // Ends it now.
  void close();

 private:
  using Duration = std::chrono::milliseconds;
  using ErrorCode = boost::system::error_code;

  void read_head(Duration timeout);
  void on_head(ErrorCode error);
  void read_body();
  void on_body(ErrorCode error);
  void refuse(HttpReply reply);
  // Lets the client read what was sent: a socket closed with unread bytes takes it away.
  void linger();
  void refuse_unreadable(ErrorCode error);
  void answer(std::string body);
  // Sends what the exchange has, if nothing is being sent.
  void pump();
  void send(HttpExchange::Output output);
  void on_sent(ErrorCode error);
  std::string head_of(const HttpReply& reply) const;
  std::string stream_head() const;
  // Sees that the client is gone while its answer is being made.
  void watch();
  void on_readable();
  // Closes the connection unless disarmed or armed anew in time.
  void arm(Duration timeout);
  void disarm() { deadline_.cancel(); }
  void arm_ping();

  boost::asio::ip::tcp::socket socket_;
  const ConnectionLimits& limits_;
  RequestHandler& handler_;
  std::function<void()> closed_;
  boost::asio::steady_timer deadline_, ping_;
  boost::beast::flat_buffer buffer_;
  std::optional<boost::beast::http::request_parser<boost::beast::http::string_body>> parser_;
  HttpRequest request_;                     // that is being answered, without its body
  std::shared_ptr<HttpExchange> exchange_;  // of the request being answered
  std::string sending_;
  bool keeps_alive_ = false;  // after the answer
  bool is_chunked_ = false;   // streams; HTTP/1.0 has no chunks and ends them by closing
  bool is_sending_ = false;
  bool ends_after_ = false;  // what is being sent ends the answer
  bool is_watching_ = false, is_watch_set_ = false;
  bool is_stopping_ = false;
};

}  // namespace longhaul
