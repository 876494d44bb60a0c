// A client for tests that says byte for byte what it is told.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"

namespace longhaul {

struct TestReply {
  unsigned status = 0;
  std::string head;
  std::string body;  // chunks put together
  nlohmann::json json() const { return nlohmann::json::parse(body, nullptr, false); }
  // The documents of a stream's events, and what else stands in it: "[DONE]", ": ping".
  std::vector<nlohmann::json> events() const;
  std::vector<std::string> other_lines() const;
};

class TestClient {
 public:
  // A slow reader's system takes few bytes that it does not read.
  enum Reader { kQuick, kSlow };
  explicit TestClient(uint16_t port, Reader reader = kQuick)
      : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const int n_bytes = 2048;
    if (reader == kSlow) ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &n_bytes, sizeof(n_bytes));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    LH_CHECK(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  }
  ~TestClient() { close(); }
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  void close() {
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  }
  // False if the server has closed the connection.
  bool send(const std::string& bytes) {
    return ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }
  // Some bytes; none: the server has closed the connection.
  std::string receive() {
    char buffer[4096];
    const ssize_t n = ::recv(socket_, buffer, sizeof(buffer), 0);
    return {buffer, n > 0 ? static_cast<size_t>(n) : 0};
  }
  std::string receive_until(const std::string& part) {
    std::string all;
    while (all.find(part) == std::string::npos) {
      const std::string more = receive();
      if (more.empty()) break;
      all += more;
    }
    return all;
  }
  std::string receive_all() {
    std::string all;
    for (std::string more = receive(); !more.empty(); more = receive()) all += more;
    return all;
  }

 private:
  int socket_;
};

inline std::string post_text(const std::string& path, const std::string& body,
                             const std::string& headers = "Connection: close\r\n") {
  return "POST " + path + " HTTP/1.1\r\nHost: x\r\n" + headers +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

inline TestReply parse_reply(const std::string& bytes) {
  TestReply reply;
  const size_t end = bytes.find("\r\n\r\n");
  if (end == std::string::npos) return reply;
  reply.head = bytes.substr(0, end + 2);
  reply.status = static_cast<unsigned>(std::atoi(reply.head.c_str() + 9));
  const std::string rest = bytes.substr(end + 4);
  if (reply.head.find("chunked") == std::string::npos) {
    reply.body = rest;
    return reply;
  }
  for (size_t at = 0; at < rest.size();) {
    const size_t line = rest.find("\r\n", at);
    if (line == std::string::npos) break;
    const size_t n = std::strtoul(rest.c_str() + at, nullptr, 16);
    if (n == 0) break;
    reply.body += rest.substr(line + 2, n);
    at = line + 2 + n + 2;
  }
  return reply;
}

inline TestReply ask(uint16_t port, const std::string& bytes) {
  TestClient client(port);
  client.send(bytes);
  return parse_reply(client.receive_all());
}
inline TestReply get(uint16_t port, const std::string& path, const std::string& headers = "") {
  return ask(port,
             "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + headers + "\r\n");
}
inline TestReply post(uint16_t port, const std::string& path, const nlohmann::json& body,
                      const std::string& headers = "") {
  return ask(port, post_text(path, body.dump(), "Connection: close\r\n" + headers));
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    if (end > at) lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}
inline std::vector<nlohmann::json> TestReply::events() const {
  std::vector<nlohmann::json> events;
  for (const std::string& line : lines_of(body)) {
    if (line.starts_with("data: {")) events.push_back(nlohmann::json::parse(line.substr(6)));
  }
  return events;
}
inline std::vector<std::string> TestReply::other_lines() const {
  std::vector<std::string> others;
  for (const std::string& line : lines_of(body)) {
    if (!line.starts_with("data: {")) others.push_back(line);
  }
  return others;
}

}  // namespace longhaul
