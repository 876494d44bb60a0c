#include "server/response_request.h"

#include <algorithm>
#include <iterator>

#include "server/answer_format.h"
#include "server/request_parts.h"

namespace longhaul {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kTextParts[] = {"input_text", "output_text", "text"};
constexpr std::string_view kReasoningParts[] = {"reasoning_text"};
constexpr std::string_view kSummaryParts[] = {"summary_text"};

// The message that what an assistant says next belongs to: reasoning, text and calls of one turn
// come as items of their own.
ApiMessage& assistant(std::vector<ApiMessage>& messages, bool begins) {
  if (begins || messages.empty() || messages.back().role != "assistant")
    messages.push_back({.role = "assistant"});
  return messages.back();
}

Status read_message(const Json& item, std::vector<ApiMessage>& messages) {
  constexpr std::string_view kRoles[] = {"user", "assistant", "system", "developer"};
  std::string role, content;
  LH_RETURN_IF_ERROR(read_text(item, "role", role));
  if (std::find(std::begin(kRoles), std::end(kRoles), role) == std::end(kRoles))
    return bad_input("role: expected one of user, assistant, system, developer, found {}",
                     shown(member(item, "role")));
  if (member(item, "content").is_null()) return bad_input("content: expected a text, found none");
  LH_RETURN_IF_ERROR(read_content(member(item, "content"), kTextParts, content));
  if (role == "developer") role = "system";
  if (role != "assistant") {
    messages.push_back({.role = role, .content = content});
    return {};
  }
  const bool is_after_reasoning = !messages.empty() && messages.back().role == role &&
                                  messages.back().content.empty() && messages.back().calls.empty();
  assistant(messages, !is_after_reasoning).content = content;
  return {};
}

Status read_call(const Json& item, std::vector<ApiMessage>& messages) {
  ApiCall call;
  LH_RETURN_IF_ERROR(read_text(item, "call_id", call.id));
  LH_RETURN_IF_ERROR(read_text(item, "name", call.name));
  LH_RETURN_IF_ERROR(read_text(item, "arguments", call.arguments));
  if (call.name.empty()) return bad_input("name: expected the name of a function, found none");
  assistant(messages, false).calls.push_back(std::move(call));
  return {};
}

Status read_call_output(const Json& item, std::vector<ApiMessage>& messages) {
  ApiMessage message{.role = "tool"};
  LH_RETURN_IF_ERROR(read_text(item, "call_id", message.tool_call_id));
  if (message.tool_call_id.empty())
    return bad_input("call_id: expected the id of a call, found none");
  const Json& output = member(item, "output");
  if (output.is_null()) return bad_input("output: expected a text, found none");
  LH_RETURN_IF_ERROR(read_content(output, kTextParts, message.content));
  messages.push_back(std::move(message));
  return {};
}

// Its own words, or where a client has only those the summary.
Status read_reasoning(const Json& item, std::vector<ApiMessage>& messages) {
  std::string reasoning, summary;
  LH_RETURN_IF_ERROR(read_content(member(item, "content"), kReasoningParts, reasoning));
  LH_RETURN_IF_ERROR(read_content(member(item, "summary"), kSummaryParts, summary));
  if (reasoning.empty()) reasoning = summary;
  if (!reasoning.empty()) assistant(messages, true).reasoning = reasoning;
  return {};
}

Status read_item(const Json& item, std::vector<ApiMessage>& messages) {
  if (!item.is_object()) return bad_input("expected an object, found {}", shown(item));
  const Json& type = member(item, "type");
  if (type.is_null() || type == "message") return read_message(item, messages);
  if (type == "function_call") return read_call(item, messages);
  if (type == "function_call_output") return read_call_output(item, messages);
  if (type == "reasoning") return read_reasoning(item, messages);
  return unsupported(
      "this server reads items of the types message, function_call, function_call_output and "
      "reasoning, found {}",
      shown(type));
}

// {"type": "function", "name", "description", "parameters"}
Status read_tool(const Json& value, std::string_view sent, ChatRequest& chat) {
  if (!value.is_object() || !member(value, "type").is_string())
    return bad_input("expected objects with a type, found {}", shown(value));
  if (value["type"] != "function")
    return unsupported("this server knows tools of the type function, found {}",
                       shown(value["type"]));
  std::string name, description;
  LH_RETURN_IF_ERROR(read_text(value, "name", name));
  LH_RETURN_IF_ERROR(read_text(value, "description", description));
  return add_tool(name, description, member(value, "parameters"), sent_member(sent, "parameters"),
                  chat);
}

// What may be left out of an answer is left out; what was to be in it is refused.
Status read_include(const Json& value) {
  if (!value.is_array()) return bad_input("expected a list, found {}", shown(value));
  for (const Json& name : value) {
    // Reasoning is not secret here: its text is in its items.
    if (name == "reasoning.encrypted_content") continue;
    return unsupported("this server can include nothing further, found {}", shown(name));
  }
  return {};
}

FieldReaders response_fields(ResponseRequest& request, std::string_view body) {
  ChatRequest& chat = request.api.chat;
  FieldReaders readers = common_fields(request.api, body);
  for (const auto name : {"n", "max_tokens", "stream_options", "response_format"})
    readers.erase(name);  // words of other endpoints
  FieldReaders of_chat = chat_fields(chat, body);
  for (const auto name : {"parallel_tool_calls", "chat_template_kwargs", "reasoning_format"})
    readers[name] = of_chat.at(name);
  readers["input"] = [&chat](const Json& value) { return read_items(value, chat.messages); };
  readers["instructions"] = text(request.instructions);
  readers["max_output_tokens"] = count_or_no_limit(request.api.generate.max_tokens);
  readers["tools"] = list_of(
      "tool", "tools", body,
      [&chat](const Json& tool, std::string_view sent) { return read_tool(tool, sent, chat); });
  readers["tool_choice"] = [&chat](const Json& value) { return read_tool_choice(value, chat); };
  readers["reasoning"] = fields({{"effort", reasoning_effort(chat)}}, UnknownFields::kIgnored);
  readers["text"] =
      fields({{"format", answer_format(request.api.generate.grammar, body, {"text", "format"})}},
             UnknownFields::kIgnored);
  readers["previous_response_id"] = text(request.previous_id);
  readers["background"] = flag(request.is_background);
  readers["store"] = flag(request.is_stored);
  readers["include"] = read_include;
  readers["truncation"] =
      only("\"disabled\" alone", [](const Json& value) { return value == "disabled"; });
  readers["top_logprobs"] = only("none", [](const Json& value) { return value == 0; });
  for (const auto name : {"conversation", "prompt"})
    readers[name] = only("input and previous_response_id", is_empty);
  return readers;
}

}  // namespace

Status read_items(const Json& value, std::vector<ApiMessage>& messages) {
  if (value.is_string()) {
    messages.push_back({.role = "user", .content = value.get<std::string>()});
    return {};
  }
  if (!value.is_array())
    return bad_input("expected a text or a list of items, found {}", shown(value));
  for (size_t i = 0; i < value.size(); ++i) {
    if (Status status = read_item(value[i], messages); !status)
      return make_error(status.error().code, "item {}: {}", i, status.error().message);
  }
  return {};
}

tl::expected<ResponseRequest, FieldError> parse_response(const Json& body,
                                                         const GenerateRequest& defaults,
                                                         std::string_view text) {
  const auto refused = [](std::string field, Error error) {
    return tl::unexpected<FieldError>(FieldError{std::move(field), std::move(error)});
  };
  ResponseRequest request;
  request.api.generate = defaults;
  FieldStatus status = read_fields(body, response_fields(request, text), UnknownFields::kIgnored);
  if (status) status = check_together(request.api);
  if (!status) return tl::unexpected<FieldError>(std::move(status.error()));
  if (request.api.chat.messages.empty())
    return refused("input", bad_input("expected a text or at least one item, found none").value());
  if (request.is_background && !request.is_stored)
    return refused("store", bad_input("expected true beside background, found false").value());
  return request;
}

void put_together(ResponseRequest& request, std::vector<ApiMessage> past) {
  std::vector<ApiMessage> all;
  if (!request.instructions.empty())
    all.push_back({.role = "system", .content = request.instructions});
  std::vector<ApiMessage>& now = request.api.chat.messages;
  for (std::vector<ApiMessage>* part : {&past, &now})
    all.insert(all.end(), std::make_move_iterator(part->begin()),
               std::make_move_iterator(part->end()));
  const auto end_of_system =
      std::find_if(all.begin(), all.end(), [](const auto& m) { return m.role != "system"; });
  for (auto more = all.begin(); more != end_of_system && std::next(more) != end_of_system; ++more)
    std::next(more)->content = more->content + "\n\n" + std::next(more)->content;
  if (end_of_system != all.begin()) all.erase(all.begin(), std::prev(end_of_system));
  now = std::move(all);
}

}  // namespace longhaul
