// The lines that `longhaul batch` reads: one JSON object each, one request.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "longhaul/engine.h"

namespace longhaul {

struct BatchRequest {
  std::string id;  // as JSON: "\"a\"" or "7"; the line number where the line gives none
  size_t line = 0;
  // Exactly one of these three is set.
  std::optional<std::string> prompt;
  ChatPrompt chat;  // by its messages
  std::vector<int32_t> tokens;
  size_t n = 1;             // samples
  GenerateRequest request;  // without its prompt
};

// Reads one line, whose number counts from 1; what it does not say is as in `defaults`. Errors name
// the field, what was expected and what was found; a field that is not known is one.
Result<BatchRequest> parse_batch_request(std::string_view text, size_t line,
                                         const GenerateRequest& defaults);

// The id of a line that cannot be read as a whole, if it has one; otherwise its number.
std::string id_of_line(std::string_view text, size_t line);

}  // namespace longhaul
