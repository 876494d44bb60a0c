#include <nlohmann/json.hpp>

#include "server/endpoints.h"

namespace longhaul {
namespace {

constexpr Route kRoutes[] = {
    {"GET", "/", show_page, true, true},
    {"GET", "/page.css", show_page, true, true},
    {"GET", "/main.js", show_page, true, true},
    {"GET", "/api.js", show_page, true, true},
    {"GET", "/store.js", show_page, true, true},
    {"GET", "/view.js", show_page, true, true},
    {"GET", "/marked.js", show_page, true, true},
    {"GET", "/markdown.js", show_page, true, true},
    {"GET", "/health", health, true, true},
    {"GET", "/metrics", show_metrics, true, false},
    {"GET", "/models", list_models, true, false},
    {"GET", "/models/", show_model, true, false},
    {"GET", "/props", show_props, true, false},
    {"POST", "/tokenize", tokenize},
    {"POST", "/detokenize", detokenize},
    {"POST", "/apply-template", apply_template},
    {"POST", "/completions", complete, false, false, Route::Kept::kById},
    {"POST", "/chat/completions", chat, false, false, Route::Kept::kById},
    {"GET", "/longhaul/requests", list_requests},
    {"GET", "/longhaul/requests/", show_request},
    {"POST", "/longhaul/requests/", cancel_request},
    {"DELETE", "/longhaul/requests/", delete_request},
    {"GET", "/slots", list_slots, true, false},
    {"POST", "/slots/", act_on_slot},
    {"POST", "/embeddings", embed},
    {"POST", "/responses", respond, false, false, Route::Kept::kByEndpoint},
    {"GET", "/responses/", show_response},
    {"POST", "/responses/", cancel_response},
    {"DELETE", "/responses/", delete_response},
    {"POST", "/messages", message, false, false, Route::Kept::kById, anthropic_errors},
    {"POST", "/messages/count_tokens", count_message_tokens, false, false, Route::Kept::kNever,
     anthropic_errors},
};

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// "a%2Fb" as "a/b"; a '%' that means nothing stays.
std::string percent_decoded(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool is_escape = text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 &&
                           hex_digit(text[i + 2]) >= 0;
    if (is_escape) {
      decoded += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
      i += 2;
    } else {
      decoded += text[i];
    }
  }
  return decoded;
}

bool matches(const Route& route, std::string_view path) {
  if (!route.path.ends_with('/') || route.path.size() == 1) return path == route.path;
  return path.starts_with(route.path) && path.size() > route.path.size();
}

}  // namespace

std::span<const Route> routes() { return kRoutes; }

tl::expected<Routed, ApiError> find_route(std::string_view method, std::string_view path) {
  // Base URLs come with and without it.
  std::string_view known = path;
  if (known.starts_with("/v1/")) known.remove_prefix(3);
  if (method == "HEAD") method = "GET";
  bool is_known = false;
  for (const Route& route : kRoutes) {
    if (!matches(route, known)) continue;
    is_known = true;
    if (route.method == method)
      return Routed{&route, percent_decoded(known.substr(route.path.size()))};
  }
  if (is_known)
    return tl::unexpected<ApiError>(method_not_allowed(std::string(method), std::string(path)));
  return tl::unexpected<ApiError>(not_found("no such path: " + std::string(path)));
}

std::optional<std::string_view> value_of_query(std::string_view query, std::string_view name) {
  for (size_t at = 0; at < query.size();) {
    const size_t end = std::min(query.find('&', at), query.size());
    const std::string_view field = query.substr(at, end - at);
    at = end + 1;
    if (field.starts_with(name) && field.substr(name.size(), 1) == "=")
      return field.substr(name.size() + 1);
  }
  return std::nullopt;
}

tl::expected<nlohmann::json, ApiError> json_body(const Call& call) {
  auto body = parse_json(call.request.body);
  if (!body) {
    return tl::unexpected<ApiError>(
        to_api_error(Error{body.error().code, "the body: " + body.error().message}));
  }
  return std::move(*body);
}

ApiError to_api_error(const FieldError& error) {
  return to_api_error(error.as_error(), error.field);
}

}  // namespace longhaul
