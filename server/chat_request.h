// Conversations as the API words them: messages with calls of tools, the tools there are, and what
// else a chat template may be told.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/json_fields.h"

namespace longhaul {

struct ApiCall {
  std::string id, name, arguments;  // these a JSON text, if the model wrote one
};

struct ApiMessage {
  std::string role;          // `developer` and `function` have become `system` and `tool`
  std::string content = {};  // the texts of a list of parts are joined
  std::string name = {}, tool_call_id = {}, reasoning = {};  // empty: none
  std::vector<ApiCall> calls = {};
};

struct ChatRequest {
  std::vector<ApiMessage> messages;
  std::string tools;                    // a JSON list, its members in the order of the request
  std::vector<std::string> tool_names;  // of them
  bool may_call = true;                 // tool_choice: not "none"
  bool must_call = false;               // "required", or a tool by its name
  std::string forced_tool = {};         // the name; empty: any
  bool one_call = false;                // parallel_tool_calls: false
  bool shows_reasoning = true;          // apart from the content
  nlohmann::json variables = nlohmann::json::object();  // further ones for the template

  bool has_tools() const { return may_call && !tool_names.empty(); }
  bool has_calls() const;  // in its messages
};

// The readers of messages, tools, tool_choice, parallel_tool_calls, chat_template_kwargs,
// reasoning_effort, reasoning_format and of what they have replaced. `body`: the object they stand
// in, as it was sent, for the order of what tools have; empty: in that of their names. All must
// outlive the readers.
FieldReaders chat_fields(ChatRequest& request, std::string_view body);

}  // namespace longhaul
