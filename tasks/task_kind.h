// What a kind of task is to the evaluation: how to make one of a given size and how to judge an
// answer. Each kind is a file of this room; CMake makes the registry (add_task).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"
#include "tasks/task.h"

namespace longhaul {

struct TaskSpec {
  size_t n_units = 0;    // edges, pairs, sentences: what makes the prompt longer
  uint64_t seed = 0;     // below 2^32: the trainer draws above
  double depth = 0.5;    // where the asked thing stands: 0 the beginning, 1 the end; if has_depth
  size_t n_queries = 1;  // things asked for; if has_queries
};

struct TaskKind {
  std::string_view name;
  std::string_view about;  // one line for the help
  size_t least_units = 1;
  size_t most_units = 1;
  bool has_depth = false;
  bool has_queries = false;
  bool one_line = false;  // the answer ends with its line
  // The prompt grows with n_units. Error: a spec beyond the limits above.
  Result<Task> (*make)(const TaskSpec& spec);
  TaskScore (*score)(const Task& task, std::string_view generated);
};

// The kind of that name, or nullptr.
const TaskKind* find_task_kind(std::string_view name);
std::span<const TaskKind* const> all_task_kinds();

}  // namespace longhaul
