// Conversations as text. Each format is written as its family's model card documents it.
#include <algorithm>

#include "tokenizer/chat_template.h"

namespace longhaul {
namespace {

constexpr std::string_view kSpace = " \t\n\r\f\v";

std::string_view trim_end(std::string_view text) {
  return text.substr(0, text.find_last_not_of(kSpace) + 1);  // of nothing but space, nothing
}

std::string_view trim(std::string_view text) {
  return trim_end(text.substr(std::min(text.find_first_not_of(kSpace), text.size())));
}

bool has_system(std::span<const ChatMessage> messages) { return messages[0].role == "system"; }

std::span<const ChatMessage> turns(std::span<const ChatMessage> messages) {
  return messages.subspan(has_system(messages) ? 1 : 0);
}

}  // namespace

ChatText& ChatText::mark(std::string_view part) {
  text += part;
  return *this;
}

ChatText& ChatText::say(std::string_view part) {
  if (!part.empty()) said.push_back({text.size(), text.size() + part.size()});
  text += part;
  return *this;
}

Result<std::string> ChatTemplate::render(Messages messages, bool add_generation_prompt) const {
  LH_ASSIGN_OR_RETURN(ChatText written, write(messages, add_generation_prompt));
  return std::move(written.text);
}

Result<ChatText> ChatTemplate::write(Messages messages, bool add_generation_prompt) const {
  LH_RETURN_IF_ERROR(check_roles(messages));
  switch (format_) {
    case ChatFormat::kChatMl:
      return write_chatml(messages, add_generation_prompt);
    case ChatFormat::kLlama2:
      return write_llama2(messages);
    case ChatFormat::kLlama3:
      return write_llama3(messages, add_generation_prompt);
    case ChatFormat::kDeepSeekR1:
      return write_deepseek(messages, add_generation_prompt);
    case ChatFormat::kMistral:
      return write_mistral(messages);
    case ChatFormat::kGemma:
      return write_gemma(messages, add_generation_prompt);
    case ChatFormat::kPhi:
      return write_phi(messages, add_generation_prompt);
  }
  return unsupported("chat format {}", static_cast<int>(format_));
}

Status ChatTemplate::check_roles(Messages messages) const {
  const std::string_view name = chat_format_name(format_);
  if (messages.empty()) return bad_input("a conversation needs at least one message");
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::string& role = messages[i].role;
    if (role != "system" && role != "user" && role != "assistant") {
      return bad_input("message {}: role `{}` is not one of system, user, assistant", i, role);
    }
    if (role == "system" && i > 0) {
      return bad_input("message {}: a system message must be the first", i);
    }
  }
  if (has_system(messages) && system_role_ == SystemRole::kRefused) {
    return bad_input("message 0: this model's {} template has no system role", name);
  }
  const bool alternates = format_ == ChatFormat::kLlama2 || format_ == ChatFormat::kMistral ||
                          format_ == ChatFormat::kGemma;
  if (!alternates) return {};
  const Messages rest = turns(messages);
  if (rest.empty()) return bad_input("the {} format needs a user message", name);
  for (size_t i = 0; i < rest.size(); ++i) {
    const std::string_view expected = i % 2 == 0 ? "user" : "assistant";
    if (rest[i].role != expected) {
      return bad_input(
          "message {}: in the {} format user and assistant take turns; expected {}, "
          "found {}",
          messages.size() - rest.size() + i, name, expected, rest[i].role);
    }
  }
  return {};
}

// An answer as the template writes it back: without the reasoning, if the template drops that.
// Qwen3 keeps it after the last question (an answer that is to be continued) and drops the
// newlines.
std::string ChatTemplate::answer_text(Messages messages, size_t i) const {
  const std::string& content = messages[i].content;
  constexpr std::string_view kEnd = "</think>";
  const size_t end = content.rfind(kEnd);
  if (!drops_reasoning_ || end == std::string::npos) return content;
  std::string_view answer = std::string_view(content).substr(end + kEnd.size());
  if (format_ == ChatFormat::kChatMl) {
    const auto is_question = [](const ChatMessage& m) { return m.role == "user"; };
    if (std::none_of(messages.begin() + i, messages.end(), is_question)) return content;
    answer.remove_prefix(std::min(answer.find_first_not_of('\n'), answer.size()));
  }
  return std::string(answer);
}

// github.com/openai/openai-python, chatml.md; Qwen's and SmolLM2's model cards.
ChatText ChatTemplate::write_chatml(Messages messages, bool add_generation_prompt) const {
  ChatText out;
  if (writes_bos_) out.mark(bos_);
  if (!has_system(messages) && !default_system_.empty())
    out.mark("<|im_start|>system\n").mark(default_system_).mark("<|im_end|>\n");
  for (size_t i = 0; i < messages.size(); ++i) {
    const bool answer = messages[i].role == "assistant";
    out.mark("<|im_start|>").mark(messages[i].role).mark("\n");
    out.say(answer ? answer_text(messages, i) : messages[i].content).mark("<|im_end|>\n");
  }
  if (add_generation_prompt) out.mark("<|im_start|>assistant\n");
  return out;
}

// Llama 2's model card: every exchange stands between BOS and EOS, the system message inside the
// first.
ChatText ChatTemplate::write_llama2(Messages messages) const {
  ChatText out;
  const Messages rest = turns(messages);
  for (size_t i = 0; i < rest.size(); ++i) {
    if (rest[i].role == "assistant") {
      out.mark(" ").say(trim(rest[i].content)).mark(" ").mark(eos_);
      continue;
    }
    if (i > 0 || writes_bos_) out.mark(bos_);
    out.mark("[INST] ");
    if (i == 0 && has_system(messages)) {  // the two are trimmed as one text
      const std::string_view content = trim_end(rest[i].content);
      out.mark("<<SYS>>\n").say(messages[0].content).mark("\n<</SYS>>");
      if (!content.empty()) out.mark("\n\n").say(content);
    } else {
      out.say(trim(rest[i].content));
    }
    out.mark(" [/INST]");
  }
  return out;
}

// llama.com/docs, Llama 3 prompt format. The date lines that some templates put into the system
// message are left out: they would make the same conversation differ from day to day.
ChatText ChatTemplate::write_llama3(Messages messages, bool add_generation_prompt) const {
  ChatText out;
  if (writes_bos_) out.mark(bos_);
  const auto open = [&](std::string_view role) {
    out.mark("<|start_header_id|>").mark(role).mark("<|end_header_id|>\n\n");
  };
  for (const ChatMessage& message : messages) {
    open(message.role);
    out.say(trim(message.content)).mark("<|eot_id|>");
  }
  if (add_generation_prompt) open("assistant");
  return out;
}

// DeepSeek-R1's model card: the system message, if any, stands bare before the first turn.
ChatText ChatTemplate::write_deepseek(Messages messages, bool add_generation_prompt) const {
  ChatText out;
  if (writes_bos_) out.mark(bos_);
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role == "system") {
      out.say(messages[i].content);
    } else if (messages[i].role == "user") {
      out.mark("<｜User｜>").say(messages[i].content);
    } else {
      out.mark("<｜Assistant｜>").say(answer_text(messages, i)).mark(eos_);
    }
  }
  if (add_generation_prompt)
    out.mark(opens_reasoning_ ? "<｜Assistant｜><think>\n" : "<｜Assistant｜>");
  return out;
}

// docs.mistral.ai, tokenization and templates v1 to v7.
ChatText ChatTemplate::write_mistral(Messages messages) const {
  ChatText out;
  if (writes_bos_) out.mark(bos_);
  const Messages rest = turns(messages);
  const bool with_system = has_system(messages);
  if (with_system && system_role_ == SystemRole::kOwnTurn) {
    out.mark("[SYSTEM_PROMPT]").say(messages[0].content).mark("[/SYSTEM_PROMPT]");
  }
  const size_t last_user = (rest.size() - 1) / 2 * 2;  // user turns have even indices
  for (size_t i = 0; i < rest.size(); ++i) {
    if (rest[i].role == "assistant") {
      out.mark(answer_prefix_).say(rest[i].content).mark(eos_);
      continue;
    }
    out.mark(inst_open_);
    const bool holds_system = (system_role_ == SystemRole::kFirstUserTurn && i == 0) ||
                              (system_role_ == SystemRole::kLastUserTurn && i == last_user);
    if (with_system && holds_system) out.say(messages[0].content).mark("\n\n");
    out.say(rest[i].content).mark(inst_close_);
  }
  return out;
}

// ai.google.dev/gemma/docs, formatting: the assistant is called model. What is said is trimmed;
// published templates leave the system message as it is, which makes the newline at the end of a
// file another token than the two that the format asks for.
ChatText ChatTemplate::write_gemma(Messages messages, bool add_generation_prompt) const {
  ChatText out;
  if (writes_bos_) out.mark(bos_);
  const Messages rest = turns(messages);
  for (size_t i = 0; i < rest.size(); ++i) {
    out.mark("<start_of_turn>").mark(rest[i].role == "user" ? "user" : "model").mark("\n");
    if (i == 0 && has_system(messages)) out.say(trim(messages[0].content)).mark("\n\n");
    out.say(trim(rest[i].content)).mark("<end_of_turn>\n");
  }
  if (add_generation_prompt) out.mark("<start_of_turn>model\n");
  return out;
}

// Model cards of Phi-3, Phi-4-mini and Phi-4.
ChatText ChatTemplate::write_phi(Messages messages, bool add_generation_prompt) const {
  ChatText out;
  if (writes_bos_) out.mark(bos_);
  const auto open = [&](std::string_view role) {
    out.mark(role_open_).mark(role).mark(role_close_);
  };
  for (const ChatMessage& message : messages) {
    open(message.role);
    out.say(message.content).mark(turn_end_);
  }
  if (add_generation_prompt) open("assistant");
  return out;
}

}  // namespace longhaul
