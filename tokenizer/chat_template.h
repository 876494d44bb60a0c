// Conversations as a model wants to read them: its own chat template, rendered and turned to ids.
#pragma once

#include <ctime>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/text_range.h"
#include "template/template.h"
#include "tokenizer/tokenizer.h"

namespace longhaul {

struct ChatMessage {
  std::string role;
  std::string content;
};

// What a template is given. Everything in the values is data, whoever made them.
struct ChatInput {
  jinja::Value messages;                          // a list of dicts
  jinja::Value tools = jinja::Value::none();      // a list, or none
  jinja::Value documents = jinja::Value::none();  // a list, or none
  std::vector<jinja::Entry> variables;            // further ones by name: "enable_thinking"
  bool add_generation_prompt = true;              // end where the assistant begins to speak
  std::tm now = {};                               // local time, for templates that write the date
};

ChatInput chat_input(std::span<const ChatMessage> messages);

// A conversation written out, and which parts of it are data: in those the name of a control token
// is text, everywhere else it is the token.
struct ChatText {
  std::string text;
  std::vector<TextRange> said;  // ascending, apart
};

// Immutable and safe to use from several threads.
class ChatTemplate {
 public:
  // A model's template, with the special tokens of its vocabulary. Error: no template, or one that
  // cannot be parsed, with line and column.
  static Result<ChatTemplate> parse(std::string_view source, const Tokenizer& tokenizer);

  const std::string& source() const { return template_.source(); }

  // Error: no messages, or what the template refuses, with line and column.
  Result<ChatText> render(const ChatInput& input) const;

 private:
  ChatTemplate(jinja::Template parsed, std::vector<jinja::Entry> special_tokens)
      : template_(std::move(parsed)), special_tokens_(std::move(special_tokens)) {}

  jinja::Template template_;
  std::vector<jinja::Entry> special_tokens_;  // bos_token, eos_token ..
};

// The ids of a rendered conversation. BOS comes first where the model wants it, whether the template
// writes it or not, and once.
Result<std::vector<int32_t>> encode_chat(const Tokenizer& tokenizer, const ChatText& chat);

}  // namespace longhaul
