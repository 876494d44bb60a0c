#include "apps/stream.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "base/result.h"

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
    prompt_done_ = prompt_done;
    prompt_total_ = prompt_total;
    generated_ = generated;
    draw(max_tokens);
    return !interrupt.requested();
  };
}

Status Stream::finish() {
  bar_.reset();
  if (write_error_ == 0) return {};
  return make_error(ErrorCode::kIo, "standard output: cannot write: {}",
                    std::generic_category().message(write_error_));
}

std::string Stream::progress() const {
  if (decoding_) return fmt::format("{} tokens generated", generated_.load());
  if (prompt_total_ == 0) return "nothing read of the prompt";
  return fmt::format("{} of {} tokens of the prompt read", prompt_done_.load(),
                     prompt_total_.load());
}

bool Stream::print(std::string_view text) {
  bar_.reset();
  errno = 0;
  // Not through a buffer of stdio: Ctrl-C interrupts a write that waits for a terminal, and what was
  // not written then goes out here.
  bool is_good = std::fflush(stdout) == 0;
  while (is_good && !text.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
    if (n >= 0) text.remove_prefix(static_cast<size_t>(n));
    is_good = n >= 0 || errno == EINTR;
  }
  if (!is_good) write_error_ = errno;
  return is_good;
}

void Stream::draw(size_t max_tokens) {
  if (prompt_done_ < prompt_total_) {
    if (!bar_) bar_.emplace("reading the prompt", prompt_total_);
    bar_->update(prompt_done_);
    return;
  }
  if (!decoding_) {
    bar_.reset();
    decoding_ = true;
    if (!show_text_) bar_.emplace("generating", max_tokens);
  }
  if (bar_) bar_->update(generated_);
}

}  // namespace longhaul
