// Requests for text, as the API words them: /completions and /chat/completions.
#pragma once

#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "longhaul/engine.h"
#include "server/chat_request.h"
#include "server/json_fields.h"

namespace longhaul {

// A text, or the tokens of one where it is not to be encoded.
struct Prompt {
  std::string text;
  std::optional<std::vector<int32_t>> tokens;
};

inline constexpr size_t kAnySlot = std::numeric_limits<size_t>::max();

struct ApiRequest {
  // One of these two, by the kind of request.
  std::vector<Prompt> prompts;
  ChatRequest chat;

  GenerateRequest generate;  // without its prompt
  bool has_seed = false;
  size_t n = 1;  // samples of each prompt
  bool is_stream = false;
  bool include_usage = false;        // at the end of a stream
  bool echo = false;                 // the answer begins with the prompt
  bool use_kept = true;              // prompts of the past may be built on
  size_t slot = kAnySlot;            // whose text this one becomes
  std::optional<size_t> n_logprobs;  // beside that of the drawn token; nothing: none at all

  size_t n_choices() const { return n * std::max<size_t>(1, prompts.size()); }
};

// Reads a body; what it does not say is as in `defaults`. Fields that are not known are ignored and
// null means absent. Error: the field at fault; kUnsupported where the server knows what is wanted
// and cannot do it. `text`: the body as it was sent, for what depends on the order of members.
tl::expected<ApiRequest, FieldError> parse_completion(const nlohmann::json& body,
                                                      const GenerateRequest& defaults,
                                                      std::string_view text = {});
tl::expected<ApiRequest, FieldError> parse_chat(const nlohmann::json& body,
                                                const GenerateRequest& defaults,
                                                std::string_view text = {});

// For the readers of other shapes.

// "text", ["text", ...], [1, 2] or [[1, 2], ...].
FieldReader prompts(std::vector<Prompt>& prompts);

// What all kinds of requests have, by the names that /completions has for them. The request must
// stay where it is.
FieldReaders common_fields(ApiRequest& request, std::string_view text);
// A count, or -1 for no limit.
FieldReader count_or_no_limit(size_t& target);
// A field that is known and not done here: only values that ask for nothing pass.
FieldReader only(std::string_view allowed, std::function<bool(const nlohmann::json&)> asks_nothing);
// Empty, or an empty text.
bool is_empty(const nlohmann::json& value);
// At most 64 texts, none of them empty.
FieldReader stop_texts(std::vector<std::string>& stop);
// What cannot be asked for together.
FieldStatus check_together(const ApiRequest& request);

}  // namespace longhaul
