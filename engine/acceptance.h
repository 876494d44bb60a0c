// How often drafts of one kind are kept, from the rounds that were judged. It never looks at a
// clock, so that a request with a seed gives the same text every time.
#pragma once

#include <algorithm>
#include <cstddef>

namespace longhaul {

// The acceptance that is assumed before any draft was judged.
inline constexpr double kAssumedAcceptance = 15.0 / 16.0;

class Acceptance {
 public:
  // The probability that a draft is kept, recent ones above all.
  double value() const { return n_accepted_ / n_judged_; }

  // The first n_accepted drafts of a round were kept; the next, if there was one, was not, and
  // those after it say nothing.
  void judge(size_t n_accepted, size_t n_drafted) {
    const size_t n_judged = std::min(n_drafted, n_accepted + 1);
    n_accepted_ = n_accepted_ * kMemory + static_cast<double>(n_accepted);
    n_judged_ = n_judged_ * kMemory + static_cast<double>(n_judged);
  }

  // For drafts that are too seldom kept to pay: true now and then, to find out whether they still
  // are, and more rarely each time. `n_tokens` is the length of the text.
  bool on_trial(size_t n_tokens) {
    if (n_tokens < next_trial_) return false;
    next_trial_ = n_tokens + interval_;
    interval_ = std::min(2 * interval_, kLastTrial);
    return true;
  }

 private:
  static constexpr double kMemory = 0.9;  // how much of the estimate survives a round
  static constexpr size_t kFirstTrial = 128, kLastTrial = 4096;  // tokens

  double n_accepted_ = 15.0;
  double n_judged_ = 16.0;
  size_t next_trial_ = 0;
  size_t interval_ = kFirstTrial;
};

}  // namespace longhaul
