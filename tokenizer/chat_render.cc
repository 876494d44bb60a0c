// Conversations as text. Each format is written as its family's model card documents it.
#include <algorithm>

#include "tokenizer/chat_template.h"

namespace longhaul {
namespace {

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\n\r\f\v";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

bool has_system(std::span<const ChatMessage> messages) { return messages[0].role == "system"; }

std::span<const ChatMessage> turns(std::span<const ChatMessage> messages) {
  return messages.subspan(has_system(messages) ? 1 : 0);
}

}  // namespace

Result<std::string> ChatTemplate::render(Messages messages, bool add_generation_prompt) const {
  LH_RETURN_IF_ERROR(check_roles(messages));
  switch (format_) {
    case ChatFormat::kChatMl:
      return render_chatml(messages, add_generation_prompt);
    case ChatFormat::kLlama2:
      return render_llama2(messages);
    case ChatFormat::kLlama3:
      return render_llama3(messages, add_generation_prompt);
    case ChatFormat::kDeepSeekR1:
      return render_deepseek(messages, add_generation_prompt);
    case ChatFormat::kMistral:
      return render_mistral(messages);
    case ChatFormat::kGemma:
      return render_gemma(messages, add_generation_prompt);
    case ChatFormat::kPhi:
      return render_phi(messages, add_generation_prompt);
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
std::string ChatTemplate::render_chatml(Messages messages, bool add_generation_prompt) const {
  std::string text = writes_bos_ ? bos_ : "";
  const auto add_turn = [&](std::string_view role, std::string_view content) {
    text.append("<|im_start|>").append(role).append("\n").append(content).append("<|im_end|>\n");
  };
  if (!has_system(messages) && !default_system_.empty()) add_turn("system", default_system_);
  for (size_t i = 0; i < messages.size(); ++i) {
    const bool answer = messages[i].role == "assistant";
    add_turn(messages[i].role, answer ? answer_text(messages, i) : messages[i].content);
  }
  if (add_generation_prompt) text += "<|im_start|>assistant\n";
  return text;
}

// Llama 2's model card: every exchange stands between BOS and EOS, the system message inside the
// first.
std::string ChatTemplate::render_llama2(Messages messages) const {
  std::string text;
  const Messages rest = turns(messages);
  for (size_t i = 0; i < rest.size(); ++i) {
    if (rest[i].role == "assistant") {
      text.append(" ").append(trim(rest[i].content)).append(" ").append(eos_);
      continue;
    }
    std::string content;
    if (i == 0 && has_system(messages)) {
      content.append("<<SYS>>\n").append(messages[0].content).append("\n<</SYS>>\n\n");
    }
    content += rest[i].content;
    if (i > 0 || writes_bos_) text += bos_;
    text.append("[INST] ").append(trim(content)).append(" [/INST]");
  }
  return text;
}

// llama.com/docs, Llama 3 prompt format. The date lines that some templates put into the system
// message are left out: they would make the same conversation differ from day to day.
std::string ChatTemplate::render_llama3(Messages messages, bool add_generation_prompt) const {
  std::string text = writes_bos_ ? bos_ : "";
  const auto open = [&](std::string_view role) {
    text.append("<|start_header_id|>").append(role).append("<|end_header_id|>\n\n");
  };
  for (const ChatMessage& message : messages) {
    open(message.role);
    text.append(trim(message.content)).append("<|eot_id|>");
  }
  if (add_generation_prompt) open("assistant");
  return text;
}

// DeepSeek-R1's model card: the system message, if any, stands bare before the first turn.
std::string ChatTemplate::render_deepseek(Messages messages, bool add_generation_prompt) const {
  std::string text = writes_bos_ ? bos_ : "";
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role == "system") {
      text += messages[i].content;
    } else if (messages[i].role == "user") {
      text.append("<｜User｜>").append(messages[i].content);
    } else {
      text.append("<｜Assistant｜>").append(answer_text(messages, i)).append(eos_);
    }
  }
  if (add_generation_prompt)
    text += opens_reasoning_ ? "<｜Assistant｜><think>\n" : "<｜Assistant｜>";
  return text;
}

// docs.mistral.ai, tokenization and templates v1 to v7.
std::string ChatTemplate::render_mistral(Messages messages) const {
  std::string text = writes_bos_ ? bos_ : "";
  const Messages rest = turns(messages);
  const bool with_system = has_system(messages);
  if (with_system && system_role_ == SystemRole::kOwnTurn) {
    text.append("[SYSTEM_PROMPT]").append(messages[0].content).append("[/SYSTEM_PROMPT]");
  }
  const size_t last_user = (rest.size() - 1) / 2 * 2;  // user turns have even indices
  for (size_t i = 0; i < rest.size(); ++i) {
    if (rest[i].role == "assistant") {
      text.append(answer_prefix_).append(rest[i].content).append(eos_);
      continue;
    }
    text += inst_open_;
    const bool holds_system = (system_role_ == SystemRole::kFirstUserTurn && i == 0) ||
                              (system_role_ == SystemRole::kLastUserTurn && i == last_user);
    if (with_system && holds_system) text.append(messages[0].content).append("\n\n");
    text.append(rest[i].content).append(inst_close_);
  }
  return text;
}

// ai.google.dev/gemma/docs, formatting: the assistant is called model.
std::string ChatTemplate::render_gemma(Messages messages, bool add_generation_prompt) const {
  std::string text = writes_bos_ ? bos_ : "";
  const Messages rest = turns(messages);
  for (size_t i = 0; i < rest.size(); ++i) {
    const bool user = rest[i].role == "user";
    text.append("<start_of_turn>").append(user ? "user" : "model").append("\n");
    if (i == 0 && has_system(messages)) text.append(messages[0].content).append("\n\n");
    text.append(trim(rest[i].content)).append("<end_of_turn>\n");
  }
  if (add_generation_prompt) text += "<start_of_turn>model\n";
  return text;
}

// Model cards of Phi-3, Phi-4-mini and Phi-4.
std::string ChatTemplate::render_phi(Messages messages, bool add_generation_prompt) const {
  std::string text = writes_bos_ ? bos_ : "";
  const auto open = [&](std::string_view role) {
    text.append(role_open_).append(role).append(role_close_);
  };
  for (const ChatMessage& message : messages) {
    open(message.role);
    text.append(message.content).append(turn_end_);
  }
  if (add_generation_prompt) open("assistant");
  return text;
}

}  // namespace longhaul
