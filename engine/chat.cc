#include "engine/chat.h"

#include <ctime>

#include "engine/engine_impl.h"
#include "io/mapped_file.h"
#include "template/json.h"

namespace longhaul {
namespace {

std::tm local_time() {
  const std::time_t now = std::time(nullptr);
  std::tm local = {};
  localtime_r(&now, &local);
  return local;
}

// The list in a field; none where it is empty.
Result<jinja::Value> read_list(std::string_view name, const std::string& json) {
  if (json.empty()) return jinja::Value::none();
  auto value = jinja::read_json(json);
  if (!value) return bad_input("{}: {}", name, value.error().message);
  if (value->is_none() || value->as_list() != nullptr) return value;
  return bad_input("{}: expected a list, found {}", name, value->type_name());
}

Result<std::vector<jinja::Entry>> read_variables(const std::string& json) {
  if (json.empty()) return std::vector<jinja::Entry>();
  auto value = jinja::read_json(json);
  if (!value) return bad_input("variables: {}", value.error().message);
  const jinja::Dict* dict = value->as_dict();
  if (dict == nullptr)
    return bad_input("variables: expected an object, found {}", value->type_name());
  return dict->entries;
}

Result<ChatInput> read_prompt(const ChatPrompt& prompt) {
  ChatInput input;
  LH_ASSIGN_OR_RETURN(input.messages, read_list("messages", prompt.messages));
  LH_ASSIGN_OR_RETURN(input.tools, read_list("tools", prompt.tools));
  LH_ASSIGN_OR_RETURN(input.documents, read_list("documents", prompt.documents));
  LH_ASSIGN_OR_RETURN(input.variables, read_variables(prompt.variables));
  input.add_generation_prompt = prompt.add_generation_prompt;
  return input;
}

Result<ChatText> render(const Result<ChatTemplate>& chat_template, ChatInput input) {
  if (!chat_template) return tl::unexpected<Error>(chat_template.error());
  input.now = local_time();
  return chat_template->render(input);
}

}  // namespace

Result<ChatTemplate> load_chat_template(const std::string& path, const Tokenizer& tokenizer) {
  if (path.empty()) return ChatTemplate::parse(tokenizer.chat_template(), tokenizer);
  LH_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open(path));
  const std::string_view source(reinterpret_cast<const char*>(file.bytes().data()),
                                file.bytes().size());
  auto parsed = ChatTemplate::parse(source, tokenizer);
  if (!parsed) return make_error(parsed.error().code, "{}: {}", path, parsed.error().message);
  return parsed;
}

const std::string& Engine::chat_template() const {
  static const std::string kNone;
  return impl_->chat_template ? impl_->chat_template->source() : kNone;
}

Result<std::vector<int32_t>> Engine::tokenize_chat(std::span<const ChatTurn> turns) const {
  std::vector<ChatMessage> messages;
  for (const ChatTurn& turn : turns) messages.push_back({turn.role, turn.content});
  LH_ASSIGN_OR_RETURN(const ChatText chat, render(impl_->chat_template, chat_input(messages)));
  return encode_chat(*impl_->tokenizer, chat);
}

Result<std::vector<int32_t>> Engine::tokenize_chat(const ChatPrompt& prompt) const {
  LH_ASSIGN_OR_RETURN(ChatInput input, read_prompt(prompt));
  LH_ASSIGN_OR_RETURN(const ChatText chat, render(impl_->chat_template, std::move(input)));
  return encode_chat(*impl_->tokenizer, chat);
}

Result<std::string> Engine::render_chat(const ChatPrompt& prompt) const {
  LH_ASSIGN_OR_RETURN(ChatInput input, read_prompt(prompt));
  LH_ASSIGN_OR_RETURN(ChatText chat, render(impl_->chat_template, std::move(input)));
  return std::move(chat.text);
}

}  // namespace longhaul
