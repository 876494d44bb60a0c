#include "base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace longhaul {

ProgressBar::ProgressBar(std::string label, size_t total, std::chrono::milliseconds delay)
    : label_(std::move(label)),
      total_(std::max<size_t>(total, 1)),
      terminal_(isatty(STDERR_FILENO) == 1),
      start_(Clock::now()),
      next_draw_(start_ + delay) {}

ProgressBar::~ProgressBar() { finish(); }

void ProgressBar::update(size_t done, const std::string& note) {
  const auto now = Clock::now();
  if (!terminal_ || now < next_draw_) return;
  next_draw_ = now + std::chrono::milliseconds(100);
  drawn_ = true;
  constexpr size_t kWidth = 30;
  const size_t filled = std::min(kWidth, done * kWidth / total_);
  const double elapsed_s = std::chrono::duration<double>(now - start_).count();
  const double left_s = done == 0
                            ? 0.0
                            : elapsed_s * static_cast<double>(total_ - std::min(done, total_)) /
                                  static_cast<double>(done);
  fmt::print(stderr, "\r\033[K{} [{:#<{}}{:.<{}}] {}/{}  {:.0f}s left  {}", label_, "", filled, "",
             kWidth - filled, done, total_, left_s, note);
  std::fflush(stderr);
}

void ProgressBar::finish() {
  if (!drawn_) return;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
  drawn_ = false;
}

}  // namespace longhaul
