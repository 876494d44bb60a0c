// From a conversation to a prompt: the one place where the server meets chat formats.
#pragma once

#include <span>
#include <vector>

#include "longhaul/engine.h"

namespace longhaul {

// The tokens of a conversation in the model's own format, ready for the answer. What people say is
// never a control token.
Result<std::vector<int32_t>> chat_prompt(const Engine& engine, std::span<const ChatTurn> turns);
// The same as text, control tokens by their names.
Result<std::string> chat_prompt_text(const Engine& engine, std::span<const ChatTurn> turns);

}  // namespace longhaul
