#include "sampling/penalty_window.h"

#include "base/check.h"

namespace longhaul {

void PenaltyWindow::push(int32_t token) {
  if (n_last_ == 0) return;
  tokens_.push_back(token);
  ++counts_[token];
  if (tokens_.size() > n_last_) remove(tokens_[tokens_.size() - 1 - n_last_]);
}

void PenaltyWindow::pop(size_t n) {
  if (n_last_ == 0) return;
  LH_CHECK(n <= tokens_.size());
  for (size_t i = 0; i < n; ++i) {
    if (tokens_.size() > n_last_) ++counts_[tokens_[tokens_.size() - 1 - n_last_]];
    remove(tokens_.back());
    tokens_.pop_back();
  }
}

void PenaltyWindow::remove(int32_t token) {
  const auto it = counts_.find(token);
  if (--it->second == 0) counts_.erase(it);
}

}  // namespace longhaul
