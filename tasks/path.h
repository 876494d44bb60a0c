// The path task: follow a chain of edges that lie shuffled in the prompt, one exact look-up a step.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "tasks/task.h"

namespace longhaul {

struct PathTaskOptions {
  int n_nodes = 64;  // nodes on the path that is asked for
  int n_other = 0;   // nodes on other paths, whose edges lie between those of the right one
};

// Prompt:  "path: bako tiru ; lemo end ; tiru lemo ; from bako :"
// Answer:  " bako tiru ; tiru lemo ; lemo end ;"
// Names are drawn and edges shuffled by `seed`; every path closes with an edge to "end". The answer
// has n_nodes steps. bad_input if the counts are not positive or exceed the 1,024 names together.
Result<Task> make_path_task(const PathTaskOptions& options, uint64_t seed);

}  // namespace longhaul
