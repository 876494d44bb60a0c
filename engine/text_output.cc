#include "engine/text_output.h"

namespace longhaul {

TextOutput::TextOutput(const Tokenizer& tokenizer, std::vector<std::string> stop,
                       std::function<bool(std::string_view)> on_text)
    : decoder_(tokenizer), matcher_(std::move(stop)), on_text_(std::move(on_text)) {}

bool TextOutput::add(int32_t token) {
  emit(matcher_.feed(decoder_.feed(token)));
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
