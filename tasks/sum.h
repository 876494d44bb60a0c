// The sum task: running totals of a labelled list, where one early mistake spoils all that follows.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "tasks/task.h"

namespace longhaul {

inline constexpr int kSumModulus = 100;  // totals wrap, as a two-digit counter does
inline constexpr int kSumMaxAddend = 9;

struct SumTaskOptions {
  int n_entries = 64;
};

// Prompt:  "sum: bako 7 ; tiru 5 ; lemo 0 ; total :"
// Answer:  " bako 7 7 ; tiru 5 12 ; lemo 0 12 ;"
// Every step repeats a label and its addend, both looked up in the prompt, then adds. Addends are 0
// to kSumMaxAddend, totals are kept modulo kSumModulus. The answer has n_entries steps. bad_input
// if n_entries is not positive or exceeds the 1,024 names.
Result<Task> make_sum_task(const SumTaskOptions& options, uint64_t seed);

}  // namespace longhaul
