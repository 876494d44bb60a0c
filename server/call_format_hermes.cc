// <tool_call>{"name": "look", "arguments": {"q": "x"}}</tool_call>, again for each call: Hermes,
// Qwen 2.5 and 3, SmolLM 3.
#include "server/call_format.h"

namespace longhaul {
namespace {

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// Templates of Qwen3-Coder and GLM have the mark, too, with something other than JSON behind it.
bool is_hermes(std::string_view chat_template) {
  return has(chat_template, "<tool_call>") && !has(chat_template, "<function=") &&
         !has(chat_template, "<arg_key>");
}

}  // namespace

const CallFormat kHermesCalls = {.name = "hermes",
                                 .opening = "<tool_call>",
                                 .closing = "</tool_call>",
                                 .may_be_bare = true,  // small models forget the marks
                                 .forced = "<tool_call>\n",
                                 .is_of = is_hermes};

}  // namespace longhaul
