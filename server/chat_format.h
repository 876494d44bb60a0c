// What a model's chat template can do: found out by rendering conversations with it, and by marks
// in its source.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "longhaul/engine.h"
#include "server/call_format.h"
#include "server/chat_request.h"

namespace longhaul {

// How a template wants to be given calls of the past.
struct CallStyle {
  bool has_objects = true;      // arguments as values; else as JSON texts
  bool has_no_content = false;  // null, and not an empty text, beside calls
};

struct ChatFormat {
  bool tells_tools = false;           // writes the tools into the prompt
  std::optional<CallStyle> style;     // nothing: it does not write calls of the past
  const CallFormat* calls = nullptr;  // how the model writes its own; null: unknown
  bool hides_marks = false;           // their marks are control tokens
  bool has_reasoning = false;         // <think> before the answer
};

// Of the engine's model. Renders the template a few times.
ChatFormat read_chat_format(const Engine& engine);

// Messages as the template is given them, a JSON list.
std::string messages_json(std::span<const ApiMessage> messages, const CallStyle& style);

}  // namespace longhaul
