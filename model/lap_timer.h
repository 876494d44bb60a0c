// Splits the time of a pass among the parts of a PassTimes. Without one it reads no clock.
#pragma once

#include <chrono>

#include "longhaul/profile.h"

namespace longhaul {

class LapTimer {
 public:
  // Starts the first lap. `times` may be null; otherwise it must outlive the laps.
  void start(PassTimes* times) {
    times_ = times;
    if (times_ != nullptr) last_ = Clock::now();
  }
  // Ends a lap: the time since the last one belongs to `part`.
  void lap(double PassTimes::*part) {
    if (times_ == nullptr) return;
    const Clock::time_point now = Clock::now();
    times_->*part += std::chrono::duration<double>(now - last_).count();
    last_ = now;
  }

 private:
  using Clock = std::chrono::steady_clock;
  PassTimes* times_ = nullptr;
  Clock::time_point last_;
};

}  // namespace longhaul
