#include "server/api_error.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "server/event_stream.h"

namespace longhaul {
namespace {

using Json = nlohmann::ordered_json;

Json text_or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

class OpenAiErrors : public ErrorWords {
 public:
  Json document(const ApiError& error) const override {
    Json body = {{"message", error.message},
                 {"type", error.type},
                 {"param", text_or_null(error.param)},
                 {"code", text_or_null(error.code)}};
    add_counts(error, body);
    return {{"error", std::move(body)}};
  }
  // Clients look into the data of every event, and not at its name.
  std::string events(const ApiError& error) const override { return event_of(document(error)); }

  static void add_counts(const ApiError& error, Json& body) {
    if (!error.counts) return;
    body["n_prompt_tokens"] = error.counts->n_prompt_tokens;
    body["n_ctx"] = error.counts->n_ctx;
  }
};

class AnthropicErrors : public ErrorWords {
 public:
  Json document(const ApiError& error) const override {
    Json body = {{"type", type_of(error)}, {"message", error.message}};
    OpenAiErrors::add_counts(error, body);
    return {{"type", "error"}, {"error", std::move(body)}};
  }
  std::string events(const ApiError& error) const override {
    return event_of("error", document(error));
  }

 private:
  // Its own words for the statuses it has.
  static std::string type_of(const ApiError& error) {
    switch (error.status) {
      case 400:
        return "invalid_request_error";
      case 413:
        return "request_too_large";
      case 500:
        return "api_error";
      case 503:
        return "overloaded_error";
      default:
        return error.type;
    }
  }
};

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

ApiError still_loading() {
  return {503, "unavailable_error", "the model is being loaded", {}, "loading", {}, 5};
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

const ErrorWords& openai_errors() {
  static const OpenAiErrors kWords;
  return kWords;
}

const ErrorWords& anthropic_errors() {
  static const AnthropicErrors kWords;
  return kWords;
}

HttpReply to_reply(const ApiError& error, const ErrorWords& words) {
  HttpReply reply = json_reply(words.document(error));
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
