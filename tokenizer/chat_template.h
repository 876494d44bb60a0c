// Chat formats: which one a model's own template text describes, and conversations written in it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tokenizer/text_range.h"

namespace longhaul {

enum class ChatFormat {
  kChatMl,      // Qwen, SmolLM: <|im_start|>user ... <|im_end|>
  kLlama2,      // [INST] <<SYS>> ... <</SYS>> ... [/INST]
  kLlama3,      // <|start_header_id|>user<|end_header_id|> ... <|eot_id|>
  kDeepSeekR1,  // <｜User｜> ... <｜Assistant｜>
  kMistral,     // [INST] ... [/INST]
  kGemma,       // <start_of_turn>user ... <end_of_turn>
  kPhi,         // <|user|> ... <|end|>, or Phi-4's <|im_start|>user<|im_sep|> ... <|im_end|>
};

std::string_view chat_format_name(ChatFormat format);

struct ChatMessage {
  std::string role;  // "system", "user" or "assistant"
  std::string content;
};

// A conversation written out, and which parts of it the messages said: in those the name of a
// control token is text, everywhere else it is the token.
struct ChatText {
  std::string text;
  std::vector<TextRange> said;  // ascending, apart

  ChatText& mark(std::string_view part);  // appends what the template writes
  ChatText& say(std::string_view part);   // appends what a message says
};

// A format with what this model's template does its own way. The Jinja text is not run: it is
// recognised by its markers, and the format written out by hand.
class ChatTemplate {
 public:
  // `bos_text` and `eos_text` are the names of those tokens in the model's vocabulary; where they
  // are not given, the format's published ones are used. Error: no template, or none of the formats
  // above.
  static Result<ChatTemplate> detect(std::string_view template_text, std::string_view bos_text = {},
                                     std::string_view eos_text = {});

  // The conversation as text, to be encoded with special tokens parsed except where it is `said`.
  // With `add_generation_prompt` it ends where the assistant begins to speak. Error: no messages,
  // an unknown role, a system message that is not the first or that the model's template refuses,
  // or (Llama 2, Mistral, Gemma) roles that do not alternate from user to assistant.
  Result<ChatText> write(std::span<const ChatMessage> messages, bool add_generation_prompt) const;
  // The text alone.
  Result<std::string> render(std::span<const ChatMessage> messages,
                             bool add_generation_prompt) const;

  ChatFormat format() const { return format_; }
  // Whether the text begins with BOS already, so that encode() must not add one.
  bool writes_bos() const { return writes_bos_; }

 private:
  enum class SystemRole {
    kOwnTurn,
    kFirstUserTurn,  // folded into it
    kLastUserTurn,   // Mistral v3
    kRefused,        // the template raises an exception
  };
  using Messages = std::span<const ChatMessage>;

  void read_details(std::string_view template_text);
  void read_mistral_details(std::string_view template_text);
  Status check_roles(Messages messages) const;
  std::string answer_text(Messages messages, size_t i) const;

  ChatText write_chatml(Messages messages, bool add_generation_prompt) const;
  ChatText write_llama2(Messages messages) const;
  ChatText write_llama3(Messages messages, bool add_generation_prompt) const;
  ChatText write_deepseek(Messages messages, bool add_generation_prompt) const;
  ChatText write_mistral(Messages messages) const;
  ChatText write_gemma(Messages messages, bool add_generation_prompt) const;
  ChatText write_phi(Messages messages, bool add_generation_prompt) const;

  ChatFormat format_ = ChatFormat::kChatMl;
  std::string bos_, eos_;
  bool writes_bos_ = false;
  SystemRole system_role_ = SystemRole::kOwnTurn;
  std::string default_system_;    // ChatML: written where the conversation has no system message
  bool drops_reasoning_ = false;  // earlier answers lose what stands before </think>
  bool opens_reasoning_ = false;  // DeepSeek: the answer is begun with <think>
  std::string inst_open_, inst_close_, answer_prefix_;  // Mistral
  std::string role_open_, role_close_, turn_end_;       // Phi
};

}  // namespace longhaul
