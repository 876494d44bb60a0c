#include "server/listener.h"

#include <vector>

#include "base/result.h"

namespace longhaul {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
constexpr auto kRetry = std::chrono::milliseconds(100);

}  // namespace

Result<std::unique_ptr<Listener>> Listener::open(asio::io_context& io, const std::string& host,
                                                 uint16_t port, const ConnectionLimits& limits,
                                                 RequestHandler& handler) {
  error_code error;
  const auto address = asio::ip::make_address(host == "localhost" ? "127.0.0.1" : host, error);
  if (error) return bad_input("host: expected an address such as 127.0.0.1, found {}", host);
  const asio::ip::tcp::endpoint endpoint(address, port);
  auto listener = std::unique_ptr<Listener>(new Listener(io, limits, handler));
  auto& acceptor = listener->acceptor_;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    return make_error(ErrorCode::kIo, "{}:{}: cannot listen: {}", host, port, error.message());
  }
  listener->port_ = acceptor.local_endpoint().port();
  return listener;
}

void Listener::accept() {
  // The others wait in the system's queue.
  is_waiting_ = connections_.size() >= limits_.max_connections;
  if (is_waiting_ || !acceptor_.is_open()) return;
  acceptor_.async_accept([this](error_code error, asio::ip::tcp::socket socket) {
    if (!acceptor_.is_open()) return;
    if (error) return retry_later();
    add(std::move(socket));
    accept();
  });
}

void Listener::retry_later() {
  retry_.expires_after(kRetry);
  retry_.async_wait([this](error_code error) {
    if (!error) accept();
  });
}

void Listener::add(asio::ip::tcp::socket socket) {
  const uint64_t id = next_id_++;
  const auto closed = [this, id] {
    connections_.erase(id);
    if (is_waiting_) accept();
  };
  const auto connection =
      std::make_shared<Connection>(std::move(socket), limits_, handler_, closed);
  connections_.emplace(id, connection);
  connection->start();
}

void Listener::stop() {
  error_code ignored;
  acceptor_.close(ignored);
  retry_.cancel();
  const auto connections = connections_;  // those that end leave the map
  for (const auto& [id, weak] : connections) {
    if (const auto connection = weak.lock()) connection->stop();
  }
}

void Listener::close_all() {
  const auto connections = connections_;
  for (const auto& [id, weak] : connections) {
    if (const auto connection = weak.lock()) connection->close();
  }
}

}  // namespace longhaul
