#include "server/forced_call.h"

#include "server/output_parser.h"

namespace longhaul {
namespace {

// {"name": "look", "arguments": {...}} as a schema. `tool` as chat templates know it.
std::string call_schema(const CallFormat& format, const std::string& name, std::string_view tool) {
  std::string_view parameters = sent_member(sent_member(tool, "function"), "parameters");
  const auto schema = parse_json(parameters);
  // Arguments are an object, whether the schema says so or not.
  if (!schema || !schema->is_object() || !schema->contains("type"))
    parameters = R"({"type": "object"})";
  return fmt::format(R"({{"type": "object", "properties": {{"name": {{"const": {}}}, "{}": {}}}, )"
                     R"("required": ["name", "{}"], "additionalProperties": false}})",
                     nlohmann::json(name).dump(), format.arguments, parameters, format.arguments);
}

}  // namespace

std::string forced_opening(const CallFormat& format, bool is_in_reasoning) {
  // A template that opens the reasoning has it closed again.
  const std::string before = is_in_reasoning ? "\n" + std::string(kReasoningClosing) + "\n\n" : "";
  return before + std::string(format.forced);
}

tl::expected<std::shared_ptr<const Grammar>, FieldError> forced_calls(const CallFormat& format,
                                                                      const ChatRequest& request) {
  const auto refused = [](std::string field, Error error) {
    return tl::unexpected<FieldError>(FieldError{std::move(field), std::move(error)});
  };
  const auto tools = sent_items(request.tools);
  std::string calls;
  for (size_t i = 0; i < request.tool_names.size() && i < tools.size(); ++i) {
    const std::string& name = request.tool_names[i];
    if (!request.forced_tool.empty() && name != request.forced_tool) continue;
    calls += (calls.empty() ? "" : ", ") + call_schema(format, name, tools[i]);
  }
  if (calls.empty()) {
    return refused("tool_choice", bad_input("expected the name of a tool of the request, found {}",
                                            shown(nlohmann::json(request.forced_tool)))
                                      .value());
  }
  std::string schema = R"({"anyOf": [)" + calls + "]}";
  if (format.has_list)
    schema = R"({"type": "array", "minItems": 1, "maxItems": 1, "items": )" + schema + "}";
  auto grammar = grammar_of_schema(schema);
  if (!grammar) return refused("tools", std::move(grammar.error()));
  return std::move(*grammar);
}

}  // namespace longhaul
