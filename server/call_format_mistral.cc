// [TOOL_CALLS][{"name": "look", "arguments": {"q": "x"}}]: Mistral, up to its tokenizers of
// version 7.
#include "server/call_format.h"

namespace longhaul {
namespace {

// Later ones write [TOOL_CALLS]look[ARGS]{"q": "x"}.
bool is_mistral(std::string_view chat_template) {
  return chat_template.find("[TOOL_CALLS]") != std::string_view::npos &&
         chat_template.find("[ARGS]") == std::string_view::npos;
}

}  // namespace

const CallFormat kMistralCalls = {.name = "mistral",
                                  .opening = "[TOOL_CALLS]",
                                  .closing = "",
                                  .has_list = true,
                                  .forced = "[TOOL_CALLS]",
                                  .is_of = is_mistral};

}  // namespace longhaul
