#include "engine/text_output.h"

#include <algorithm>

namespace longhaul {

TextOutput::TextOutput(const Tokenizer& tokenizer, std::vector<std::string> stop,
                       const std::vector<std::string>& shown,
                       std::function<bool(std::string_view)> on_text)
    : tokenizer_(tokenizer),
      decoder_(tokenizer),
      matcher_(std::move(stop)),
      on_text_(std::move(on_text)) {
  for (const std::string& name : shown) {
    const auto id = tokenizer.find_token(name);
    if (id && tokenizer.is_control(*id)) shown_.push_back(*id);
  }
}

std::string TextOutput::decode(int32_t token) {
  if (std::find(shown_.begin(), shown_.end(), token) == shown_.end()) return decoder_.feed(token);
  return decoder_.finish() + std::string(tokenizer_.piece(token));
}

bool TextOutput::add(int32_t token) {
  emit(matcher_.feed(decode(token)));
  stopped_ = matcher_.stopped();
  return !stopped_ && !cancelled_;
}

void TextOutput::finish() {
  if (!stopped_) {
    emit(matcher_.feed(decoder_.finish()));
    stopped_ = matcher_.stopped();
  }
  if (!stopped_) emit(matcher_.finish());
}

void TextOutput::emit(std::string_view text) {
  if (text.empty()) return;
  text_ += text;
  if (on_text_ && !cancelled_ && !on_text_(text)) cancelled_ = true;
}

}  // namespace longhaul
