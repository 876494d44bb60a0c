// Who answers while the model is being loaded: nobody but this, with 503.
#pragma once

#include <atomic>
#include <memory>

#include "server/api_error.h"
#include "server/http.h"

namespace longhaul {

class Door : public RequestHandler {
 public:
  // From now on `handler` answers, which must outlive the door. Any thread may call it.
  void open(RequestHandler& handler) { handler_ = &handler; }

  std::optional<HttpReply> check(const HttpRequest& head) override {
    RequestHandler* const handler = handler_;
    if (handler != nullptr) return handler->check(head);
    return to_reply(still_loading(), openai_errors());
  }
  void handle(HttpRequest request, std::shared_ptr<Exchange> exchange) override {
    RequestHandler* const handler = handler_;
    if (handler != nullptr) return handler->handle(std::move(request), std::move(exchange));
    exchange->fail(still_loading(), openai_errors());
  }
  std::vector<std::pair<std::string, std::string>> headers(const HttpRequest& head) override {
    RequestHandler* const handler = handler_;
    if (handler != nullptr) return handler->headers(head);
    return {};
  }

 private:
  std::atomic<RequestHandler*> handler_ = nullptr;
};

}  // namespace longhaul
