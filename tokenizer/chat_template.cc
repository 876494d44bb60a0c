// Recognising a chat format and what a model's template does its own way. Writing: chat_render.cc.
#include "tokenizer/chat_template.h"

namespace longhaul {
namespace {

struct FormatNames {
  ChatFormat format;
  std::string_view name;
  std::string_view bos;  // as published; empty: none that all models of the format share
  std::string_view eos;
};

constexpr FormatNames kFormats[] = {
    {ChatFormat::kChatMl, "ChatML", "", ""},
    {ChatFormat::kLlama2, "Llama 2", "<s>", "</s>"},
    {ChatFormat::kLlama3, "Llama 3", "<|begin_of_text|>", "<|eot_id|>"},
    {ChatFormat::kDeepSeekR1, "DeepSeek-R1", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"},
    {ChatFormat::kMistral, "Mistral", "<s>", "</s>"},
    {ChatFormat::kGemma, "Gemma", "<bos>", "<eos>"},
    {ChatFormat::kPhi, "Phi", "", ""},
};

const FormatNames& names_of(ChatFormat format) {
  return kFormats[static_cast<size_t>(format)];  // in the order of the enum
}

std::string supported_names() {
  std::string names;
  for (const FormatNames& row : kFormats) {
    if (!names.empty()) names += ", ";
    names += row.name;
  }
  return names;
}

class Markers {
 public:
  explicit Markers(std::string_view text) : text_(text) {}
  bool has(std::string_view marker) const { return text_.find(marker) != std::string_view::npos; }

 private:
  std::string_view text_;
};

// Formats whose markers others share (Phi-4 and ChatML, Llama 2 and Mistral) come in the order in
// which the narrower one is found first.
bool find_format(const Markers& in, ChatFormat& format) {
  const bool phi_roles = in.has("<|user|>") || (in.has("'<|'") && in.has("'|>'"));
  if (in.has("<｜User｜>") && in.has("<｜Assistant｜>")) {
    format = ChatFormat::kDeepSeekR1;
  } else if (in.has("<|im_start|>")) {
    format = in.has("<|im_sep|>") ? ChatFormat::kPhi : ChatFormat::kChatMl;
  } else if (in.has("<|start_header_id|>") && in.has("<|end_header_id|>")) {
    format = ChatFormat::kLlama3;
  } else if (in.has("<start_of_turn>")) {
    format = ChatFormat::kGemma;
  } else if (in.has("[INST]")) {
    format = in.has("<<SYS>>") ? ChatFormat::kLlama2 : ChatFormat::kMistral;
  } else if (in.has("<|end|>") && phi_roles) {
    format = ChatFormat::kPhi;
  } else {
    return false;
  }
  return true;
}

// The system message that a ChatML template writes out where the conversation has none; empty if it
// writes none. In the template it is a literal: '<|im_start|>system\nYou are ...<|im_end|>\n'.
std::string find_default_system(std::string_view text) {
  constexpr std::string_view kOpen = "<|im_start|>system";
  for (size_t at = text.find(kOpen); at != std::string_view::npos; at = text.find(kOpen, at + 1)) {
    std::string_view rest = text.substr(at + kOpen.size());
    if (rest.substr(0, 2) == "\\n") {
      rest.remove_prefix(2);
    } else if (rest.substr(0, 1) == "\n") {
      rest.remove_prefix(1);
    } else {
      continue;
    }
    const std::string_view literal = rest.substr(0, rest.find("<|im_end|>"));
    const bool plain = literal.find_first_of("'\"{}\\") == std::string_view::npos;
    if (plain && literal.size() < rest.size()) return std::string(literal);
  }
  return {};
}

}  // namespace

std::string_view chat_format_name(ChatFormat format) { return names_of(format).name; }

Result<ChatTemplate> ChatTemplate::detect(std::string_view template_text, std::string_view bos_text,
                                          std::string_view eos_text) {
  if (template_text.empty()) {
    return unsupported(
        "tokenizer.chat_template is missing: this model is not made for chat, or its "
        "file does not say how");
  }
  ChatTemplate result;
  if (!find_format(Markers(template_text), result.format_)) {
    return unsupported("tokenizer.chat_template: not a format we know; supported: {}",
                       supported_names());
  }
  const FormatNames& names = names_of(result.format_);
  result.bos_ = bos_text.empty() ? names.bos : bos_text;
  result.eos_ = eos_text.empty() ? names.eos : eos_text;
  const bool names_bos = template_text.find("bos_token") != std::string_view::npos;
  const bool spells_bos =
      !result.bos_.empty() && template_text.find(result.bos_) != std::string_view::npos;
  result.writes_bos_ = !result.bos_.empty() && (names_bos || spells_bos);
  result.read_details(template_text);
  return result;
}

void ChatTemplate::read_details(std::string_view template_text) {
  const Markers in(template_text);
  drops_reasoning_ = in.has("</think>");
  switch (format_) {
    case ChatFormat::kChatMl:
      default_system_ = find_default_system(template_text);
      break;
    case ChatFormat::kDeepSeekR1:
      opens_reasoning_ = in.has("<｜Assistant｜><think>");
      break;
    case ChatFormat::kGemma:
      // Gemma 1 and 2 refuse a system message, Gemma 3 puts it before the first user's text.
      system_role_ =
          in.has("System role not supported") ? SystemRole::kRefused : SystemRole::kFirstUserTurn;
      break;
    case ChatFormat::kMistral:
      read_mistral_details(template_text);
      break;
    case ChatFormat::kPhi:
      if (in.has("<|im_sep|>")) {  // Phi-4
        role_open_ = "<|im_start|>", role_close_ = "<|im_sep|>", turn_end_ = "<|im_end|>";
      } else if (in.has("'|>' + message['content']")) {  // Phi-4-mini: no newlines
        role_open_ = "<|", role_close_ = "|>", turn_end_ = "<|end|>";
      } else {
        role_open_ = "<|", role_close_ = "|>\n", turn_end_ = "<|end|>\n";
      }
      break;
    case ChatFormat::kLlama2:
    case ChatFormat::kLlama3:
      break;
  }
}

void ChatTemplate::read_mistral_details(std::string_view template_text) {
  const Markers in(template_text);
  // The SentencePiece generations write blanks inside the brackets and before an answer, the first
  // of them also before the bracket; the Tekken ones write none.
  const bool spaced = in.has("[INST] ");
  const bool leading = in.has("' [INST] ") || in.has("\" [INST] ");
  inst_open_ = leading ? " [INST] " : spaced ? "[INST] " : "[INST]";
  inst_close_ = in.has(" [/INST]") ? " [/INST]" : "[/INST]";
  answer_prefix_ = spaced ? " " : "";
  if (in.has("[SYSTEM_PROMPT]")) {
    system_role_ = SystemRole::kOwnTurn;
  } else if (in.has("system_message")) {
    system_role_ = in.has("loop.last and system_message") ? SystemRole::kLastUserTurn
                                                          : SystemRole::kFirstUserTurn;
  } else {
    system_role_ = SystemRole::kRefused;
  }
}

}  // namespace longhaul
