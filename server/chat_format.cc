#include "server/chat_format.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "server/output_parser.h"

namespace longhaul {
namespace {

// What is looked for in what templates write.
constexpr std::string_view kProbeTool = "probe_tool";
constexpr std::string_view kProbeTools =
    R"([{"type": "function", "function": {"name": "probe_tool", "description": "d",
         "parameters": {"type": "object", "properties": {"a": {"type": "string", "description": "d"}},
                        "required": []}}}])";

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::string quoted_json(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// `"name": ` and a text, unless it is empty.
void add_text(std::string& json, std::string_view name, const std::string& text) {
  if (!text.empty()) json += fmt::format(", \"{}\": {}", name, quoted_json(text));
}

std::string arguments_json(const std::string& arguments, const CallStyle& style) {
  // What a model wrote need not be JSON: then the template gets the text.
  const auto value = style.has_objects ? parse_json(arguments) : Result<nlohmann::json>();
  return value && value->is_object() ? arguments : quoted_json(arguments);
}

std::string call_json(const ApiCall& call, const CallStyle& style) {
  std::string json = R"({"type": "function")";
  add_text(json, "id", call.id);
  return json + fmt::format(R"(, "function": {{"name": {}, "arguments": {}}}}})",
                            quoted_json(call.name), arguments_json(call.arguments, style));
}

std::string message_json(const ApiMessage& message, const CallStyle& style) {
  const bool is_null = style.has_no_content && !message.calls.empty() && message.content.empty();
  std::string json = fmt::format(R"({{"role": {}, "content": {})", quoted_json(message.role),
                                 is_null ? "null" : quoted_json(message.content));
  add_text(json, "name", message.name);
  add_text(json, "tool_call_id", message.tool_call_id);
  add_text(json, "reasoning_content", message.reasoning);
  for (size_t i = 0; i < message.calls.size(); ++i)
    json += (i == 0 ? ", \"tool_calls\": [" : ", ") + call_json(message.calls[i], style);
  return json + (message.calls.empty() ? "}" : "]}");
}

std::string rendered(const Engine& engine, std::string messages, std::string_view tools) {
  ChatPrompt prompt;
  prompt.messages = std::move(messages);
  prompt.tools = tools;
  return engine.render_chat(prompt).value_or(std::string());
}

bool tells_tools(const Engine& engine) {
  return has(rendered(engine, messages_json({{{.role = "user", .content = "u"}}}, {}), kProbeTools),
             kProbeTool);
}

// The first style in which the template writes a call with its arguments, unspoiled: given a text
// where it expects a value, it writes the text's quotes escaped.
std::optional<CallStyle> find_style(const Engine& engine) {
  std::vector<ApiMessage> messages = {
      {.role = "user", .content = "u"},
      {.role = "assistant",
       .calls = {{.id = "probe0000", .name = "probe_name", .arguments = R"({"probe_key": "v"})"}}},
      {.role = "tool", .content = "r", .name = "probe_name", .tool_call_id = "probe0000"}};
  for (const bool has_objects : {true, false}) {
    for (const bool has_no_content : {false, true}) {
      const CallStyle style{has_objects, has_no_content};
      const std::string text = rendered(engine, messages_json(messages, style), kProbeTools);
      const bool is_spoiled = has(text, R"(\"probe_key)");
      if (has(text, "probe_name") && has(text, "probe_key") && !is_spoiled) return style;
    }
  }
  return std::nullopt;
}

// Control tokens are found in a text only if they are asked for.
bool is_control(const Engine& engine, std::string_view name) {
  const auto special = engine.tokenize(name, false, true),
             plain = engine.tokenize(name, false, false);
  return special && plain && *special != *plain;
}

}  // namespace

ChatFormat read_chat_format(const Engine& engine) {
  ChatFormat format;
  const std::string& source = engine.chat_template();
  if (source.empty()) return format;
  format.tells_tools = tells_tools(engine);
  format.style = find_style(engine);
  format.calls = find_call_format(source);
  if (format.calls != nullptr) format.hides_marks = is_control(engine, format.calls->opening);
  format.has_reasoning = has(source, kReasoningOpening) || has(source, kReasoningClosing);
  return format;
}

std::string messages_json(std::span<const ApiMessage> messages, const CallStyle& style) {
  std::string json = "[";
  for (const ApiMessage& message : messages)
    json += (json.size() > 1 ? ", " : "") + message_json(message, style);
  return json + "]";
}

}  // namespace longhaul
