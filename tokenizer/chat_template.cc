#include "tokenizer/chat_template.h"

#include <algorithm>

namespace longhaul {
namespace {

using jinja::Dict;
using jinja::Entry;
using jinja::List;
using jinja::Text;
using jinja::Value;

// Who speaks, in the words of all formats. Some templates make a control token of it, such as
// `<|user|>`: these names are the caller's choice of a turn and nobody's text.
constexpr std::string_view kRoles[] = {"system", "developer", "user",     "assistant",  "model",
                                       "tool",   "ipython",   "function", "observation"};

bool is_role(std::string_view text) {
  return std::find(std::begin(kRoles), std::end(kRoles), text) != std::end(kRoles);
}

// A message whose role, if it is a known one, counts as the template's own text.
Result<Value> with_own_role(const Value& message) {
  const Dict* dict = message.as_dict();
  const Value* role = dict == nullptr ? nullptr : dict->find("role");
  if (role == nullptr || role->as_text() == nullptr || !is_role(role->as_text()->bytes()))
    return message;
  std::vector<Entry> entries = dict->entries;
  entries.emplace_back(Value::data("role"), Value::own(role->as_text()->bytes()));
  return Value::dict(std::move(entries));
}

Result<Value> with_own_roles(const Value& messages) {
  const List* list = messages.as_list();
  if (list == nullptr)
    return bad_input("messages: expected a list, found {}", messages.type_name());
  if (list->items.empty()) return bad_input("a conversation needs at least one message");
  std::vector<Value> items;
  for (const Value& message : list->items) {
    if (message.as_dict() == nullptr)
      return bad_input("message {}: expected an object, found {}", items.size(),
                       message.type_name());
    LH_ASSIGN_OR_RETURN(Value item, with_own_role(message));
    items.push_back(std::move(item));
  }
  return Value::list(std::move(items));
}

}  // namespace

ChatInput chat_input(std::span<const ChatMessage> messages) {
  std::vector<Value> items;
  for (const ChatMessage& message : messages) {
    // Two texts are neither keys that cannot be nor nested too deep.
    items.push_back(*Value::dict({{Value::data("role"), Value::data(message.role)},
                                  {Value::data("content"), Value::data(message.content)}}));
  }
  ChatInput input;
  input.messages = *Value::list(std::move(items));
  return input;
}

Result<ChatTemplate> ChatTemplate::parse(std::string_view source, const Tokenizer& tokenizer) {
  if (source.empty()) {
    return unsupported(
        "tokenizer.chat_template is missing: this model is not made for chat, or its file does not "
        "say how; --chat-template names a file that does");
  }
  auto parsed = jinja::Template::parse(source);
  if (!parsed) return make_error(parsed.error().code, "chat template: {}", parsed.error().message);
  std::vector<Entry> special_tokens;
  const auto add = [&](std::string_view name, std::optional<int32_t> id) {
    if (id) special_tokens.emplace_back(Value::own(name), Value::own(tokenizer.piece(*id)));
  };
  add("bos_token", tokenizer.bos());
  add("eos_token", tokenizer.eos());
  add("unk_token", tokenizer.unknown());
  add("pad_token", tokenizer.padding());
  return ChatTemplate(std::move(*parsed), std::move(special_tokens));
}

Result<ChatText> ChatTemplate::render(const ChatInput& input) const {
  std::vector<Entry> variables = special_tokens_;
  variables.insert(variables.end(), input.variables.begin(), input.variables.end());
  LH_ASSIGN_OR_RETURN(Value messages, with_own_roles(input.messages));
  variables.emplace_back(Value::own("messages"), std::move(messages));
  variables.emplace_back(Value::own("tools"), input.tools);
  variables.emplace_back(Value::own("documents"), input.documents);
  variables.emplace_back(Value::own("add_generation_prompt"),
                         Value::boolean(input.add_generation_prompt));
  LH_ASSIGN_OR_RETURN(const Value dict, Value::dict(std::move(variables)));
  auto text = template_.render(dict, {.limits = {}, .now = input.now});
  if (!text) return make_error(text.error().code, "chat template: {}", text.error().message);
  ChatText chat;
  chat.said.assign(text->data().begin(), text->data().end());
  chat.text = std::move(*text).release();
  return chat;
}

Result<std::vector<int32_t>> encode_chat(const Tokenizer& tokenizer, const ChatText& chat) {
  const std::string_view bos =
      tokenizer.bos() ? tokenizer.piece(*tokenizer.bos()) : std::string_view();
  const bool is_own = chat.said.empty() || chat.said.front().begin >= bos.size();
  const bool has_bos = !bos.empty() && chat.text.starts_with(bos) && is_own;
  Tokenizer::EncodeOptions options;
  options.add_bos = tokenizer.add_bos() && !has_bos;
  options.parse_special = true;
  options.said = chat.said;
  return tokenizer.encode(chat.text, options);
}

}  // namespace longhaul
