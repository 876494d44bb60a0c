#include "server/message_request.h"

#include <utility>

#include "server/answer_format.h"
#include "server/request_parts.h"

namespace longhaul {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kTextPart[] = {"text"};

// {"type": "tool_use", "id", "name", "input"}. The input goes to the template as it was sent: as the
// model said it, so that the prompt goes on from what is kept.
Status read_tool_use(const Json& block, std::string_view sent, ApiMessage& message) {
  ApiCall call;
  LH_RETURN_IF_ERROR(read_text(block, "id", call.id));
  LH_RETURN_IF_ERROR(read_text(block, "name", call.name));
  if (call.name.empty()) return bad_input("tool_use: expected a name, found {}", shown(block));
  const Json& input = member(block, "input");
  if (!input.is_null() && !input.is_object())
    return bad_input("tool_use: expected an object as input, found {}", shown(input));
  call.arguments = sent_member(sent, "input");
  if (call.arguments.empty())
    call.arguments =
        input.is_null() ? "{}" : input.dump(-1, ' ', false, Json::error_handler_t::replace);
  message.calls.push_back(std::move(call));
  return {};
}

// {"type": "tool_result", "tool_use_id", "content"}: a message of its own.
Status read_tool_result(const Json& block, std::vector<ApiMessage>& messages) {
  ApiMessage result{.role = "tool"};
  LH_RETURN_IF_ERROR(read_text(block, "tool_use_id", result.tool_call_id));
  if (result.tool_call_id.empty())
    return bad_input("tool_result: expected a tool_use_id, found {}", shown(block));
  LH_RETURN_IF_ERROR(read_content(member(block, "content"), kTextPart, result.content));
  messages.push_back(std::move(result));
  return {};
}

Status read_assistant_block(const Json& block, std::string_view sent, ApiMessage& message) {
  const Json& type = member(block, "type");
  if (type == "text") return read_content(Json::array({block}), kTextPart, message.content);
  if (type == "tool_use") return read_tool_use(block, sent, message);
  if (type == "thinking") {
    std::string thinking;
    LH_RETURN_IF_ERROR(read_text(block, "thinking", thinking));
    message.reasoning += thinking;
    return {};
  }
  return unsupported("this server reads blocks of text, thinking and tool_use here, found {}",
                     shown(type));
}

// Results of tools come first, whatever their order: a template puts them behind the calls.
Status read_user_block(const Json& block, ApiMessage& message, std::vector<ApiMessage>& results) {
  const Json& type = member(block, "type");
  if (type == "text") return read_content(Json::array({block}), kTextPart, message.content);
  if (type == "tool_result") return read_tool_result(block, results);
  return unsupported("this server reads blocks of text and tool_result here, found {}",
                     shown(type));
}

Status read_message(const Json& value, std::string_view sent, std::vector<ApiMessage>& messages) {
  if (!value.is_object()) return bad_input("expected an object, found {}", shown(value));
  ApiMessage message;
  LH_RETURN_IF_ERROR(read_text(value, "role", message.role));
  const bool is_assistant = message.role == "assistant";
  if (!is_assistant && message.role != "user")
    return bad_input("role: expected user or assistant, found {}", shown(member(value, "role")));
  const Json& content = member(value, "content");
  if (!content.is_string() && !content.is_array())
    return bad_input("content: expected a text or a list of blocks, found {}", shown(content));
  std::vector<ApiMessage> results;
  if (content.is_string()) message.content = content.get<std::string>();
  const auto sent_blocks = sent_items(sent_member(sent, "content"));
  for (size_t i = 0; content.is_array() && i < content.size(); ++i) {
    if (!content[i].is_object())
      return bad_input("content: expected blocks with a type, found {}", shown(content[i]));
    const std::string_view block = i < sent_blocks.size() ? sent_blocks[i] : std::string_view();
    LH_RETURN_IF_ERROR(is_assistant ? read_assistant_block(content[i], block, message)
                                    : read_user_block(content[i], message, results));
  }
  const bool is_results_alone = !results.empty() && message.content.empty();
  for (ApiMessage& result : results) messages.push_back(std::move(result));
  if (!is_results_alone) messages.push_back(std::move(message));
  return {};
}

// {"name", "description", "input_schema"}; what has another type is done by a service.
Status read_tool(const Json& value, std::string_view sent, ChatRequest& chat) {
  if (!value.is_object()) return bad_input("expected objects, found {}", shown(value));
  const Json& type = member(value, "type");
  if (!type.is_null() && type != "custom")
    return unsupported("this server knows tools of the type custom, found {}", shown(type));
  std::string name, description;
  LH_RETURN_IF_ERROR(read_text(value, "name", name));
  LH_RETURN_IF_ERROR(read_text(value, "description", description));
  return add_tool(name, description, member(value, "input_schema"),
                  sent_member(sent, "input_schema"), chat);
}

// {"type": "auto"} and so on.
FieldReader tool_choice(ChatRequest& chat) {
  return [&chat](const Json& value) -> Status {
    if (!value.is_object() || !member(value, "type").is_string())
      return bad_input("expected an object with a type, found {}", shown(value));
    bool is_single = false;
    LH_RETURN_IF_ERROR(
        fields({{"disable_parallel_tool_use", flag(is_single)}}, UnknownFields::kIgnored)(value));
    chat.one_call = is_single;
    const Json& type = value["type"];
    if (type == "tool") return force_tool(value, chat);
    return read_tool_choice(type == "any" ? Json("required") : type, chat);
  };
}

// {"type": "enabled", "budget_tokens"}: what templates know is whether the model is to think, and
// not how long.
FieldReader thinking(ChatRequest& chat) {
  return [&chat](const Json& value) -> Status {
    const Json& type = value.is_object() ? member(value, "type") : value;
    if (type == "adaptive") return {};
    if (type != "enabled" && type != "disabled")
      return bad_input("expected a type: enabled, disabled or adaptive, found {}", shown(value));
    // chat_template_kwargs, which comes before it, says more.
    chat.variables.emplace("enable_thinking", type == "enabled");
    return {};
  };
}

FieldReaders message_fields(ApiRequest& request, std::string& system, std::string_view body) {
  ChatRequest& chat = request.chat;
  FieldReaders readers = common_fields(request, body);
  for (const auto name : {"n", "stop", "stream_options", "response_format"})
    readers.erase(name);  // words of other endpoints
  readers["chat_template_kwargs"] = chat_fields(chat, body).at("chat_template_kwargs");
  readers["messages"] =
      list_of("message", "messages", body, [&chat](const Json& message, std::string_view sent) {
        return read_message(message, sent, chat.messages);
      });
  readers["system"] = [&system](const Json& value) {
    return read_content(value, kTextPart, system);
  };
  readers["stop_sequences"] = stop_texts(request.generate.stop);
  readers["tools"] = list_of(
      "tool", "tools", body,
      [&chat](const Json& tool, std::string_view sent) { return read_tool(tool, sent, chat); });
  readers["tool_choice"] = tool_choice(chat);
  readers["thinking"] = thinking(chat);
  readers["output_config"] = fields(
      {{"effort", reasoning_effort(chat)},
       {"format", answer_format(request.generate.grammar, body, {"output_config", "format"})}},
      UnknownFields::kIgnored);
  for (const auto name : {"container", "mcp_servers"})
    readers[name] = only("messages and tools of the client", is_empty);
  return readers;
}

}  // namespace

tl::expected<ApiRequest, FieldError> parse_message(const Json& body,
                                                   const GenerateRequest& defaults,
                                                   std::string_view text) {
  ApiRequest request;
  request.generate = defaults;
  std::string system;
  FieldStatus status =
      read_fields(body, message_fields(request, system, text), UnknownFields::kIgnored);
  if (status) status = check_together(request);
  if (!status) return tl::unexpected<FieldError>(std::move(status.error()));
  std::vector<ApiMessage>& messages = request.chat.messages;
  if (messages.empty()) {
    return tl::unexpected<FieldError>(
        FieldError{"messages", bad_input("expected at least one message, found none").value()});
  }
  if (!system.empty()) messages.insert(messages.begin(), {.role = "system", .content = system});
  return request;
}

}  // namespace longhaul
