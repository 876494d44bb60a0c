#include "server/chat_prompt.h"

#include "base/result.h"

namespace longhaul {

Result<std::vector<int32_t>> chat_prompt(const Engine& engine, std::span<const ChatTurn> turns) {
  return engine.tokenize_chat(turns);
}

Result<std::string> chat_prompt_text(const Engine& engine, std::span<const ChatTurn> turns) {
  LH_ASSIGN_OR_RETURN(const std::vector<int32_t> tokens, chat_prompt(engine, turns));
  std::string text;
  for (const int32_t token : tokens) text += engine.token_text(token);
  return text;
}

}  // namespace longhaul
