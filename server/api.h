// From requests to endpoints: keys, routes, threads, and what every answer has.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "server/clerk.h"
#include "server/endpoints.h"

namespace longhaul {

class Api : public RequestHandler {
 public:
  // What `services` names must outlive it.
  explicit Api(const Services& services)
      : services_(services), clerk_(services.options.max_waiting) {}

  std::optional<HttpReply> check(const HttpRequest& head) override;
  void handle(HttpRequest request, std::shared_ptr<Exchange> exchange) override;
  std::vector<std::pair<std::string, std::string>> headers(const HttpRequest& head) override;

  // Goes on with the kept requests of a process before this one.
  void resume();
  // From now on only open routes answer.
  void drain() { is_draining_ = true; }

 private:
  void run(const Route& route, Call& call);

  Services services_;
  std::atomic<bool> is_draining_ = false;
  Clerk clerk_;  // the last one: its work uses the others
};

// The number of the key among those of the server, from 1; 0 if it is none of them. Takes the same
// time for every wrong key of a length.
size_t find_key(const std::vector<std::string>& keys, const std::string& key);

}  // namespace longhaul
