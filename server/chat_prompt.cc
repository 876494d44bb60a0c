#include "server/chat_prompt.h"

#include <algorithm>

namespace longhaul {
namespace {

template <class... Args>
FieldStatus cannot(std::string field, fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<FieldError>(
      FieldError{std::move(field), unsupported(format, std::forward<Args>(args)...).value()});
}

std::string call_format_names() {
  std::string names;
  for (const CallFormat* format : call_formats())
    names += (names.empty() ? "" : ", ") + std::string(format->name);
  return names;
}

FieldStatus check(const ChatFormat& format, const ChatRequest& request) {
  if (request.has_tools() && !format.tells_tools)
    return cannot("tools", "this model's chat template does not tell it of tools");
  if (request.has_tools() && format.calls == nullptr) {
    return cannot("tools",
                  "this model's chat template is of no format whose calls this server can read: {}",
                  call_format_names());
  }
  if (request.has_calls() && !format.style)
    return cannot("messages", "tool_calls: this model's chat template does not write them");
  return {};
}

}  // namespace

tl::expected<std::vector<int32_t>, FieldError> chat_prompt(const Engine& engine,
                                                           const ChatFormat& format,
                                                           const ChatRequest& request) {
  // Without a template the engine says what is missing.
  if (!engine.chat_template().empty()) {
    if (FieldStatus status = check(format, request); !status)
      return tl::unexpected<FieldError>(std::move(status.error()));
  }
  ChatPrompt prompt;
  prompt.messages = messages_json(request.messages, format.style.value_or(CallStyle()));
  if (request.has_tools()) prompt.tools = request.tools;
  prompt.variables =
      request.variables.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  auto tokens = engine.tokenize_chat(prompt);
  if (!tokens) return tl::unexpected<FieldError>(FieldError{"messages", std::move(tokens.error())});
  return std::move(*tokens);
}

tl::expected<std::string, FieldError> chat_prompt_text(const Engine& engine,
                                                       const ChatFormat& format,
                                                       const ChatRequest& request) {
  auto tokens = chat_prompt(engine, format, request);
  if (!tokens) return tl::unexpected<FieldError>(std::move(tokens.error()));
  std::string text;
  for (const int32_t token : *tokens) text += engine.token_text(token);
  return text;
}

OutputOptions output_options(const Engine& engine, const ChatFormat& format,
                             const ChatRequest& request, const std::vector<int32_t>& prompt) {
  OutputOptions options;
  if (request.has_tools()) {
    options.calls = format.calls;
    options.tools = request.tool_names;
    options.one_call = request.one_call;
    options.hides_marks = format.hides_marks;
  }
  options.has_reasoning = format.has_reasoning && request.shows_reasoning;
  if (!options.has_reasoning) return options;
  // Templates that open the reasoning themselves do so at the very end of the prompt.
  constexpr size_t kLast = 16;  // tokens, enough for the mark and white space
  std::string end;
  for (size_t i = prompt.size() - std::min(prompt.size(), kLast); i < prompt.size(); ++i)
    end += engine.token_text(prompt[i]);
  end.resize(end.find_last_not_of(" \t\r\n") + 1);
  options.begins_in_reasoning = end.ends_with(kReasoningOpening);
  return options;
}

std::vector<std::string> shown_tokens(const OutputOptions& options) {
  std::vector<std::string> names;
  if (options.has_reasoning)
    names = {std::string(kReasoningOpening), std::string(kReasoningClosing)};
  if (options.calls != nullptr) {
    names.emplace_back(options.calls->opening);
    if (!options.calls->closing.empty()) names.emplace_back(options.calls->closing);
  }
  return names;
}

}  // namespace longhaul
