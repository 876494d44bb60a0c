#include "apps/stream.h"

#include <cstdio>

namespace longhaul {

void Stream::attach(GenerateRequest& request, const Interrupt& interrupt) {
  bar_.reset();
  decoding_ = false;
  if (show_text_) {
    request.on_text = [this](std::string_view text) { return print(text); };
  }
  const size_t max_tokens = request.max_tokens;
  request.on_progress = [this, &interrupt, max_tokens](size_t prompt_done, size_t prompt_total,
                                                       size_t generated) {
    draw(prompt_done, prompt_total, generated, max_tokens);
    return !interrupt.requested();
  };
}

bool Stream::print(std::string_view text) {
  bar_.reset();
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
         std::fflush(stdout) == 0;
}

void Stream::draw(size_t prompt_done, size_t prompt_total, size_t generated, size_t max_tokens) {
  if (prompt_done < prompt_total) {
    if (!bar_) bar_.emplace("reading the prompt", prompt_total);
    bar_->update(prompt_done);
    return;
  }
  if (!decoding_) {
    bar_.reset();
    decoding_ = true;
    if (!show_text_) bar_.emplace("generating", max_tokens);
  }
  if (bar_) bar_->update(generated);
}

}  // namespace longhaul
