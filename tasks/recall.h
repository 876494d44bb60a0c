// The recall task: many keys with values, a few of them asked for. Every pair looks alike and names
// recur in other keys, so that nothing but the whole key tells where to look: the task on which
// sparse attention is known to fail while needles stay perfect (InfiniteBench's key-value
// retrieval, RULER's multi-query needles).
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "tasks/task.h"

namespace longhaul {

struct RecallTaskOptions {
  size_t n_pairs = 64;
  size_t n_queries = 1;   // keys asked for, none twice
  size_t n_names = 1024;  // names that keys are made of: the fewer, the more keys share one
};

inline constexpr size_t kMostRecallPairs = 200000;

// Prompt:  "Each key has a value : bako tiru 42 ; lemo dasa 17 ; bako momi 33 ;
//           Write these keys again, each with its value: lemo dasa , bako momi . Answer :"
// Answer:  " lemo dasa 17 ; bako momi 33 ;"
// on one line. Keys are two names, values 10 to 99: each one token for the bundled model, with the
// space before it, and plain English for others. No key stands twice. bad_input if a count is zero,
// n_queries exceeds n_pairs, n_names 1,024, or n_pairs kMostRecallPairs or half of the keys there
// are.
Result<Task> make_recall_task(const RecallTaskOptions& options, uint64_t seed);

}  // namespace longhaul
