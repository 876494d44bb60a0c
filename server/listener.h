// Takes new connections and knows those there are.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <map>
#include <memory>
#include <string>

#include "server/connection.h"

namespace longhaul {

// Used by the thread of the io_context alone.
class Listener {
 public:
  // Error: the address is none, or it cannot be listened at.
  static Result<std::unique_ptr<Listener>> open(boost::asio::io_context& io,
                                                const std::string& host, uint16_t port,
                                                const ConnectionLimits& limits,
                                                RequestHandler& handler);

  void start() { accept(); }
  uint16_t port() const { return port_; }
  // No new connections, and no new requests on the others.
  void stop();
  // Ends all connections.
  void close_all();
  size_t n_connections() const { return connections_.size(); }

 private:
  Listener(boost::asio::io_context& io, const ConnectionLimits& limits, RequestHandler& handler)
      : acceptor_(io), retry_(io), limits_(limits), handler_(handler) {}
  void accept();
  void add(boost::asio::ip::tcp::socket socket);
  void retry_later();

  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::steady_timer retry_;  // after an error such as too many open files
  const ConnectionLimits& limits_;
  RequestHandler& handler_;
  uint16_t port_ = 0;
  uint64_t next_id_ = 0;
  bool is_waiting_ = false;  // for a connection to end: there are as many as there may be
  std::map<uint64_t, std::weak_ptr<Connection>> connections_;
};

}  // namespace longhaul
