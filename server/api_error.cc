#include "server/api_error.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace longhaul {
namespace {

using Json = nlohmann::ordered_json;

Json text_or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

}  // namespace

ApiError to_api_error(const Error& error, std::string param) {
  switch (error.code) {
    case ErrorCode::kBadInput:
      return {400, "invalid_request_error", error.message, std::move(param)};
    case ErrorCode::kUnsupported:
      return not_supported(error.message, std::move(param));
    case ErrorCode::kOutOfMemory:
      return {503, "unavailable_error", error.message, {}, "out_of_memory", {}, 1};
    case ErrorCode::kCancelled:
      return shutting_down();
    case ErrorCode::kIo:
      break;
  }
  return internal_error(error.message);
}

ApiError not_found(const std::string& message) { return {404, "not_found_error", message}; }

ApiError method_not_allowed(const std::string& method, const std::string& path) {
  return {405, "invalid_request_error",
          fmt::format("{}: expected another method, found {}", path, method)};
}

ApiError bad_key() {
  return {401,
          "authentication_error",
          "expected an API key of this server in Authorization: Bearer, found none or another",
          {},
          "invalid_api_key"};
}

ApiError overloaded(const std::string& message, size_t retry_after_s) {
  return {429, "rate_limit_error", message, {}, "queue_full", {}, retry_after_s};
}

ApiError shutting_down() {
  return {503, "unavailable_error", "the server is stopping", {}, "shutting_down", {}, 5};
}

ApiError prompt_too_long(size_t n_prompt_tokens, size_t n_ctx) {
  return {400,
          "exceed_context_size_error",
          fmt::format("the prompt has {} tokens: expected fewer than the {} that the context holds",
                      n_prompt_tokens, n_ctx),
          {},
          "context_length_exceeded",
          ApiError::Counts{n_prompt_tokens, n_ctx}};
}

ApiError not_supported(const std::string& message, std::string param) {
  return {501, "not_supported_error", message, std::move(param)};
}

ApiError internal_error(const std::string& message) { return {500, "server_error", message}; }

Json to_json(const ApiError& error) {
  Json body = {{"message", error.message},
               {"type", error.type},
               {"param", text_or_null(error.param)},
               {"code", text_or_null(error.code)}};
  if (error.counts) {
    body["n_prompt_tokens"] = error.counts->n_prompt_tokens;
    body["n_ctx"] = error.counts->n_ctx;
  }
  return {{"error", std::move(body)}};
}

HttpReply to_reply(const ApiError& error) {
  HttpReply reply = json_reply(to_json(error));
  reply.status = error.status;
  if (error.retry_after_s > 0)
    reply.headers.emplace_back("Retry-After", std::to_string(error.retry_after_s));
  if (error.status == 401) reply.headers.emplace_back("WWW-Authenticate", "Bearer");
  return reply;
}

std::string dump(const Json& document) {
  return document.dump(-1, ' ', false, Json::error_handler_t::replace);
}

HttpReply json_reply(const Json& document) { return {.body = dump(document)}; }

}  // namespace longhaul
