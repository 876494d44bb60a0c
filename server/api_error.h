// Errors as clients of the API expect them: a status, and a nested body with a type they know.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "longhaul/result.h"
#include "server/http.h"

namespace longhaul {

struct ApiError {
  unsigned status = 400;
  std::string type = "invalid_request_error";
  std::string message;
  std::string param = {};  // the field at fault; empty: null
  std::string code = {};   // empty: null
  // Of an over-long prompt.
  struct Counts {
    size_t n_prompt_tokens = 0, n_ctx = 0;
  };
  std::optional<Counts> counts = std::nullopt;
  size_t retry_after_s = 0;  // 0: not said
};

struct [[nodiscard]] ApiStatus : tl::expected<void, ApiError> {
  using tl::expected<void, ApiError>::expected;
};

inline ApiStatus refuse(ApiError error) { return tl::unexpected<ApiError>(std::move(error)); }

// An error of the engine in the API's words; `param` as above.
ApiError to_api_error(const Error& error, std::string param = {});
ApiError not_found(const std::string& message);
ApiError method_not_allowed(const std::string& method, const std::string& path);
ApiError bad_key();
// The queue is full: 429.
ApiError overloaded(const std::string& message, size_t retry_after_s);
// The server stops, or its model is still being loaded: 503.
ApiError shutting_down();
ApiError still_loading();
ApiError prompt_too_long(size_t n_prompt_tokens, size_t n_ctx);
// Something this server does not do: 501.
ApiError not_supported(const std::string& message, std::string param = {});
ApiError internal_error(const std::string& message);

// How one shape of the API words errors.
class ErrorWords {
 public:
  virtual ~ErrorWords() = default;
  // The body of a reply.
  virtual nlohmann::ordered_json document(const ApiError& error) const = 0;
  // The last events of a stream.
  virtual std::string events(const ApiError& error) const = 0;
};
// {"error": {...}}
const ErrorWords& openai_errors();
// {"type": "error", "error": {...}}
const ErrorWords& anthropic_errors();

HttpReply to_reply(const ApiError& error, const ErrorWords& words);

// A document as the body of a reply, and as one line of text. Text that is not UTF-8 has its bad
// bytes replaced by U+FFFD, since JSON cannot hold them.
std::string dump(const nlohmann::ordered_json& document);
HttpReply json_reply(const nlohmann::ordered_json& document);

}  // namespace longhaul
