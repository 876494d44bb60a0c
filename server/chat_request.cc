#include "server/chat_request.h"

#include <algorithm>

#include "server/request_parts.h"

namespace longhaul {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kTextPart[] = {"text"};

// Clients send back what a model said: arguments may be anything, their text may be no JSON.
Status read_call(const Json& value, ApiCall& call) {
  const bool is_object = value.is_object() && member(value, "function").is_object();
  if (!is_object)
    return bad_input("tool_calls: expected objects with a function, found {}", shown(value));
  if (const Json& type = member(value, "type"); !type.is_null() && type != "function")
    return unsupported("tool_calls: this server knows functions, found {}", shown(type));
  const Json& function = value["function"];
  LH_RETURN_IF_ERROR(read_text(value, "id", call.id));
  LH_RETURN_IF_ERROR(read_text(function, "name", call.name));
  if (call.name.empty())
    return bad_input("tool_calls: expected a name of the function, found {}", shown(function));
  const Json& arguments = member(function, "arguments");
  if (arguments.is_string()) return text(call.arguments)(arguments);
  if (!arguments.is_null() && !arguments.is_object())
    return bad_input("tool_calls: expected arguments as a JSON text, found {}", shown(arguments));
  call.arguments = arguments.is_null() ? "{}" : arguments.dump();
  return {};
}

Status read_calls(const Json& value, ApiMessage& message) {
  if (value.is_null()) return {};
  if (!value.is_array()) return bad_input("tool_calls: expected a list, found {}", shown(value));
  if (!value.empty() && message.role != "assistant")
    return bad_input("tool_calls: expected in messages of the role assistant, found {}",
                     shown(Json(message.role)));
  for (const Json& call : value) LH_RETURN_IF_ERROR(read_call(call, message.calls.emplace_back()));
  return {};
}

Status read_message(const Json& value, ApiMessage& message) {
  if (!value.is_object() || !member(value, "role").is_string())
    return bad_input("expected an object with a role, found {}", shown(value));
  message.role = value["role"].get<std::string>();
  if (message.role == "developer") message.role = "system";
  if (message.role == "function") message.role = "tool";
  if (!member(value, "function_call").is_null())
    return unsupported("function_call: this server reads tool_calls");
  LH_RETURN_IF_ERROR(read_content(member(value, "content"), kTextPart, message.content));
  LH_RETURN_IF_ERROR(read_text(value, "name", message.name));
  LH_RETURN_IF_ERROR(read_text(value, "tool_call_id", message.tool_call_id));
  LH_RETURN_IF_ERROR(read_text(value, "reasoning", message.reasoning));  // vLLM's word
  LH_RETURN_IF_ERROR(read_text(value, "reasoning_content", message.reasoning));
  return read_calls(member(value, "tool_calls"), message);
}

Status read_messages(const Json& value, std::vector<ApiMessage>& messages) {
  messages.clear();
  if (!value.is_array()) return bad_input("expected a list of messages, found {}", shown(value));
  for (size_t i = 0; i < value.size(); ++i) {
    if (Status status = read_message(value[i], messages.emplace_back()); !status)
      return make_error(status.error().code, "message {}: {}", i, status.error().message);
  }
  return {};
}

Status read_tool(const Json& value, std::vector<std::string>& names) {
  if (!value.is_object() || !member(value, "type").is_string())
    return bad_input("expected objects with a type, found {}", shown(value));
  if (value["type"] != "function")
    return unsupported("this server knows tools of the type function, found {}",
                       shown(value["type"]));
  const Json& function = member(value, "function");
  if (!function.is_object() || !member(function, "name").is_string() || function["name"] == "")
    return bad_input("expected a function with a name, found {}", shown(value));
  std::string description;
  LH_RETURN_IF_ERROR(read_text(function, "description", description));
  const Json& parameters = member(function, "parameters");
  if (!parameters.is_null() && !parameters.is_object())
    return bad_input("parameters: expected a JSON schema, found {}", shown(parameters));
  names.push_back(function["name"].get<std::string>());
  return {};
}

Status read_tools(const Json& value, std::string_view body, ChatRequest& request) {
  if (!value.is_array()) return bad_input("expected a list of tools, found {}", shown(value));
  if (value.size() > kMostTools)
    return bad_input("expected at most {} tools, found {}", kMostTools, value.size());
  for (size_t i = 0; i < value.size(); ++i) {
    if (Status status = read_tool(value[i], request.tool_names); !status)
      return make_error(status.error().code, "tool {}: {}", i, status.error().message);
  }
  const std::string_view sent = sent_member(body, "tools");
  request.tools = sent.empty() ? value.dump() : std::string(sent);
  return {};
}

FieldReader nothing(std::string_view instead) {
  return [instead](const Json& value) -> Status {
    if (value.empty() || value == "none" || value == "auto") return {};
    return unsupported("this server knows {}, found {}", instead, shown(value));
  };
}

}  // namespace

bool ChatRequest::has_calls() const {
  return std::any_of(messages.begin(), messages.end(),
                     [](const ApiMessage& message) { return !message.calls.empty(); });
}

FieldReaders chat_fields(ChatRequest& request, std::string_view body) {
  FieldReaders readers;
  readers["messages"] = [&](const Json& value) { return read_messages(value, request.messages); };
  readers["tools"] = [&request, body](const Json& value) {
    return read_tools(value, body, request);
  };
  readers["tool_choice"] = [&](const Json& value) { return read_tool_choice(value, request); };
  readers["parallel_tool_calls"] = [&](const Json& value) -> Status {
    bool is_parallel = true;
    LH_RETURN_IF_ERROR(flag(is_parallel)(value));
    request.one_call = !is_parallel;
    return {};
  };
  readers["functions"] = nothing("tools");
  readers["function_call"] = nothing("tool_choice");
  readers["chat_template_kwargs"] = [&](const Json& value) -> Status {
    if (!value.is_object()) return bad_input("expected an object, found {}", shown(value));
    request.variables.update(value);
    return {};
  };
  readers["reasoning_effort"] = reasoning_effort(request);
  readers["reasoning_format"] = [&](const Json& value) -> Status {
    if (value != "none" && value != "auto" && value != "deepseek")
      return unsupported("this server can do \"none\", \"auto\" and \"deepseek\", found {}",
                         shown(value));
    request.shows_reasoning = value != "none";
    return {};
  };
  return readers;
}

}  // namespace longhaul
