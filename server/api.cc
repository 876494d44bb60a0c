#include "server/api.h"

#include <new>

namespace longhaul {
namespace {

HttpReply preflight() {
  return {.status = 204,
          .content_type = "text/plain",
          .headers = {{"Allow", "GET, POST, DELETE, OPTIONS"}}};
}

bool equal_in_constant_time(const std::string& key, const std::string& found) {
  size_t difference = key.size() ^ found.size();
  for (size_t i = 0; i < found.size(); ++i) {
    const char expected = key.empty() ? '\0' : key[i % key.size()];
    difference |= static_cast<unsigned char>(expected ^ found[i]);
  }
  return difference == 0;
}

}  // namespace

size_t find_key(const std::vector<std::string>& keys, const std::string& key) {
  size_t number = 0;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (equal_in_constant_time(keys[i], key)) number = i + 1;
  }
  return number;
}

std::optional<HttpReply> Api::check(const HttpRequest& head) {
  if (head.method == "OPTIONS") return std::nullopt;
  const auto found = find_route(head.method, head.path);
  const bool is_open = found && found->route->is_open;
  const auto& keys = services_.options.api_keys;
  const ErrorWords& words = found ? found->route->errors() : openai_errors();
  if (!is_open && !keys.empty() && find_key(keys, head.key) == 0) return to_reply(bad_key(), words);
  if (!found) return to_reply(found.error(), words);
  if (!is_open && is_draining_) return to_reply(shutting_down(), words);
  return std::nullopt;
}

void Api::handle(HttpRequest request, std::shared_ptr<Exchange> exchange) {
  if (request.method == "OPTIONS") return exchange->reply(preflight());
  auto found = find_route(request.method, request.path);
  if (!found) return exchange->fail(found.error(), openai_errors());
  Call call{std::move(request), std::move(found->argument), 0, std::move(exchange)};
  call.owner = find_key(services_.options.api_keys, call.request.key);
  const Route& route = *found->route;
  call.errors = &route.errors();
  if (route.is_quick) return run(route, call);
  const auto shared = std::make_shared<Call>(std::move(call));
  if (clerk_.submit([this, &route, shared] { run(route, *shared); })) return;
  services_.metrics.refused();
  shared->exchange->fail(overloaded("too many requests wait to be read: expected a later try", 1),
                         route.errors());
}

void Api::run(const Route& route, Call& call) {
  try {
    const bool is_kept = route.kept == Route::Kept::kById && !call.request.request_id.empty();
    const ApiStatus status = is_kept ? services_.kept.run(services_, call, route.endpoint)
                                     : route.endpoint(services_, call);
    if (!status) call.exchange->fail(status.error(), route.errors());
  } catch (const std::bad_alloc&) {
    call.exchange->fail(to_api_error(Error{ErrorCode::kOutOfMemory, "no memory is left"}),
                        route.errors());
  } catch (const std::exception& error) {
    call.exchange->fail(internal_error(error.what()), route.errors());
  }
}

void Api::resume() {
  services_.kept.resume(services_, [](const std::string& path) -> const Route* {
    const auto found = find_route("POST", path);
    return found && found->route->kept != Route::Kept::kNever ? found->route : nullptr;
  });
}

std::vector<std::pair<std::string, std::string>> Api::headers(const HttpRequest& head) {
  const std::string& allowed = services_.options.cors_origin;
  if (allowed.empty() || head.origin.empty()) return {};
  std::vector<std::pair<std::string, std::string>> headers = {
      {"Access-Control-Allow-Origin", allowed}, {"Vary", "Origin"}};
  if (head.method == "OPTIONS") {
    headers.emplace_back("Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS");
    headers.emplace_back(
        "Access-Control-Allow-Headers",
        "Authorization, Content-Type, X-Api-Key, Longhaul-Request-Id, Last-Event-ID");
    headers.emplace_back("Access-Control-Max-Age", "86400");
  }
  return headers;
}

}  // namespace longhaul
