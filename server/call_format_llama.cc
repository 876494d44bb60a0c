// {"name": "look", "parameters": {"q": "x"}} as the whole answer, or behind <|python_tag|>: Llama
// 3.1 to 3.3.
#include "server/call_format.h"

namespace longhaul {
namespace {

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// Templates of 3.2 do not name the tag, but say how a call is written.
bool is_llama(std::string_view chat_template) {
  return has(chat_template, "<|start_header_id|>") &&
         (has(chat_template, "<|python_tag|>") || has(chat_template, "\"parameters\": "));
}

}  // namespace

const CallFormat kLlamaCalls = {.name = "llama",
                                .opening = "<|python_tag|>",
                                .closing = "",
                                .may_be_bare = true,
                                .arguments = "parameters",
                                .is_of = is_llama};

}  // namespace longhaul
