#include "server/request_parts.h"

#include <algorithm>

namespace longhaul {
namespace {

using Json = nlohmann::json;

std::string dumped(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

const Json& member(const Json& object, std::string_view name) {
  static const Json kNone;
  const auto found = object.find(name);
  return found == object.end() ? kNone : *found;
}

Status read_text(const Json& object, std::string_view name, std::string& target) {
  const Json& value = member(object, name);
  if (value.is_null()) return {};
  if (!value.is_string()) return bad_input("{}: expected a text, found {}", name, shown(value));
  target = value.get<std::string>();
  return {};
}

Status read_content(const Json& value, std::span<const std::string_view> types,
                    std::string& content) {
  if (value.is_null()) return {};
  if (value.is_string()) return text(content)(value);
  if (!value.is_array())
    return bad_input("content: expected a text or a list of parts, found {}", shown(value));
  for (const Json& part : value) {
    const bool is_part = part.is_object() && member(part, "type").is_string();
    if (!is_part) return bad_input("content: expected parts with a type, found {}", shown(part));
    const Json& type = part["type"];
    if (std::find(types.begin(), types.end(), type.get_ref<const std::string&>()) == types.end())
      return unsupported("content: this server reads parts of text, found {}", shown(type));
    if (!member(part, "text").is_string())
      return bad_input("content: expected a text in every part, found {}", shown(part));
    content += part["text"].get_ref<const std::string&>();
  }
  return {};
}

FieldReader list_of(std::string_view what, std::string_view name, std::string_view body,
                    ItemReader read) {
  return [what, name, body, read = std::move(read)](const Json& value) -> Status {
    if (!value.is_array()) return bad_input("expected a list, found {}", shown(value));
    const auto sent = sent_items(sent_member(body, name));
    for (size_t i = 0; i < value.size(); ++i) {
      if (Status status = read(value[i], i < sent.size() ? sent[i] : std::string_view()); !status)
        return make_error(status.error().code, "{} {}: {}", what, i, status.error().message);
    }
    return {};
  };
}

Status add_tool(const std::string& name, const std::string& description, const Json& parameters,
                std::string_view sent_parameters, ChatRequest& request) {
  if (name.empty()) return bad_input("expected a name, found none");
  if (!parameters.is_null() && !parameters.is_object())
    return bad_input("expected a JSON schema, found {}", shown(parameters));
  if (request.tool_names.size() == kMostTools)
    return bad_input("expected at most {} tools, found more", kMostTools);
  const std::string schema =
      sent_parameters.empty() ? dumped(parameters) : std::string(sent_parameters);
  std::string tool = R"({"type": "function", "function": {"name": )" + dumped(name);
  if (!description.empty()) tool += ", \"description\": " + dumped(description);
  if (!parameters.is_null()) tool += ", \"parameters\": " + schema;
  // Between the brackets of what is there.
  std::string& tools = request.tools;
  if (tools.empty()) tools = "[]";
  tools.insert(tools.size() - 1, (tools.size() > 2 ? ", " : "") + tool + "}}");
  request.tool_names.push_back(name);
  return {};
}

FieldReader reasoning_effort(ChatRequest& request) {
  return [&request](const Json& value) -> Status {
    std::string effort;
    LH_RETURN_IF_ERROR(text(effort)(value));
    request.variables.emplace("reasoning_effort", effort);
    return {};
  };
}

Status read_tool_choice(const Json& value, ChatRequest& request) {
  request.may_call = value != "none";
  request.must_call = value == "required";
  if (value == "none" || value == "auto" || value == "required") return {};
  if (!value.is_object() || !member(value, "type").is_string())
    return bad_input("expected \"none\", \"auto\", \"required\" or a function, found {}",
                     shown(value));
  if (value["type"] != "function")
    return unsupported("this server can force functions, found {}", shown(value["type"]));
  // {"type": "function", "name"}, or with the name one level deeper.
  const Json& function = member(value, "function");
  return force_tool(function.is_object() ? function : value, request);
}

Status force_tool(const Json& named, ChatRequest& request) {
  LH_RETURN_IF_ERROR(read_text(named, "name", request.forced_tool));
  if (request.forced_tool.empty())
    return bad_input("expected the name of a tool, found {}", shown(named));
  request.must_call = true;
  return {};
}

}  // namespace longhaul
