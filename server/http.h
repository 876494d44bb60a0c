// What the server knows of HTTP: a request that was read whole, a reply, and the way back to the
// client. The transport (connection.h) fills these in; nothing here knows of sockets.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace longhaul {

struct ApiError;
class ErrorWords;

struct HttpRequest {
  std::string method;  // "GET"
  std::string path;    // "/v1/models", without the query
  std::string query;
  std::string key;              // of `Authorization: Bearer` or `x-api-key`; empty: none
  std::string origin;           // of a page in a browser that asks; empty: none
  std::string request_id = {};  // `Longhaul-Request-Id`: the request is kept; empty: it is not
  size_t last_event_id = 0;     // `Last-Event-ID`: events of a kept stream that the client has
  std::string body;
};

struct HttpReply {
  unsigned status = 200;
  std::string content_type = "application/json";
  std::string body = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
};

// The way back for one request. Its functions may be called by any thread; what is said after the
// end, or to a client that is gone, is dropped.
class Exchange {
 public:
  virtual ~Exchange() = default;

  // The whole answer.
  virtual void reply(HttpReply reply) = 0;
  // The answer will be a stream of events. Its head goes out with the first write, or with the
  // first ping if the client has to wait; until then fail() can still be a plain HTTP error.
  virtual void begin_stream() = 0;
  // Appends whole events. Waits while the client reads too slowly for what is under way to it.
  // False: the client is gone.
  virtual bool write(std::string_view events) = 0;
  // The last events, none or some, and the end. Never waits.
  virtual void end_stream(std::string_view events) = 0;
  // Ends the answer by an error: as the reply, or where a stream has begun as its last event.
  virtual void fail(const ApiError& error, const ErrorWords& words) = 0;
  // Stopped when the client is gone.
  virtual std::stop_token gone() const = 0;
};

// Who answers. Called by the thread of the connections, which must not be held up.
class RequestHandler {
 public:
  virtual ~RequestHandler() = default;
  // Looks at a request without its body; a reply refuses it before the body is read.
  virtual std::optional<HttpReply> check(const HttpRequest& head) = 0;
  // Answers through the exchange, now or later, by any thread.
  virtual void handle(HttpRequest request, std::shared_ptr<Exchange> exchange) = 0;
  // Headers that every answer to this request has.
  virtual std::vector<std::pair<std::string, std::string>> headers(const HttpRequest& head) = 0;
};

}  // namespace longhaul
