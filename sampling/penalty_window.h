// How often each token occurs among the last tokens of a text: what the penalties look at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace longhaul {

class PenaltyWindow {
 public:
  // Counts over the last `n_last` tokens; 0 keeps the window empty.
  explicit PenaltyWindow(size_t n_last) : n_last_(n_last) {}

  // Appends a token; the oldest one leaves the window when it is full.
  void push(int32_t token);
  // Takes back the last `n` pushes, as if they had never been. `n` is at most the number of pushes.
  void pop(size_t n);

  // token -> occurrences in the window, each at least 1.
  const std::unordered_map<int32_t, uint32_t>& counts() const { return counts_; }

 private:
  void remove(int32_t token);

  size_t n_last_;
  // The whole text, not only the window: a pop brings tokens back in at the window's far end.
  std::vector<int32_t> tokens_;
  std::unordered_map<int32_t, uint32_t> counts_;
};

}  // namespace longhaul
