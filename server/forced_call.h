// Answers that have to be calls of tools: what the prompt ends with, and what may follow.
#pragma once

#include <memory>
#include <string>

#include "longhaul/grammar.h"
#include "server/call_format.h"
#include "server/chat_request.h"

namespace longhaul {

// What the text of the assistant begins with, before the model says anything: the mark of a call.
std::string forced_opening(const CallFormat& format, bool is_in_reasoning);

// The calls that may stand behind it: of the tool that the request names, or of any of its tools,
// with arguments by the tool's schema. Error: the field at fault; kUnsupported for a schema that
// grammars cannot be made of.
tl::expected<std::shared_ptr<const Grammar>, FieldError> forced_calls(const CallFormat& format,
                                                                      const ChatRequest& request);

}  // namespace longhaul
