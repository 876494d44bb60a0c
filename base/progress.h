// A progress bar on standard error, drawn only when standard error is a terminal.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace longhaul {

class ProgressBar {
 public:
  // `total` is in whatever unit `update` counts; nothing is drawn before `delay` has passed, so
  // that short work stays quiet.
  ProgressBar(std::string label, size_t total,
              std::chrono::milliseconds delay = std::chrono::milliseconds(500));
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // Draws `done` of the total, the time left, and `note` (a speed, say). At most ten times a
  // second.
  void update(size_t done, const std::string& note = {});
  // Wipes the line. Called by the destructor too.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  std::string label_;
  size_t total_;
  bool terminal_;
  bool drawn_ = false;
  Clock::time_point start_;
  Clock::time_point next_draw_;
};

}  // namespace longhaul
