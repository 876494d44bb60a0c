// All tasks and lengths of a setting together, and in words what can be told from them.
#pragma once

#include <string>
#include <vector>

#include "apps/eval/summary.h"

namespace longhaul::eval {

// The answers of one setting over all tasks and lengths, beside those of the first dense one.
struct Total {
  std::string setting;
  AttentionMode mode = AttentionMode::kDense;
  bool is_reference = false;  // the dense setting that others are compared with
  bool beside_dense = false;
  bool all_read = false;  // no step left a block out
  size_t n = 0, n_right = 0, n_lost = 0, n_won = 0, n_same = 0;
  Interval right;       // of the share of right answers
  Interval difference;  // of the share to dense's; only beside dense
  double tokens_per_s = 0;
  double blocks_read = 0;  // share

  // Whether the difference to dense is one at 95%.
  bool is_worse() const { return beside_dense && difference.high < 0; }
  bool is_better() const { return beside_dense && difference.low > 0; }
};

// In the order of the settings; those without answers are left out.
std::vector<Total> totals(const Summary& summary, const std::vector<Setting>& settings);

// The verdict on the answers and, where a fixed text was run, on the divergence: plain sentences,
// each with its interval, which say so where nothing can be told.
std::string verdict(const Summary& summary, const std::vector<Setting>& settings);

// "-23 points (95%: -35 to -10)".
std::string difference_in_words(const Total& total);

}  // namespace longhaul::eval
