// One checkable task, decoded once in each mode: what `demo` runs and reports.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "apps/mode_run.h"
#include "tasks/task.h"

namespace longhaul {

struct DemoJob {
  std::string title;  // "path of 300 nodes"
  Task task;
  size_t n_prompt = 0;               // tokens
  std::vector<int32_t> answer = {};  // the right one
  std::vector<ModeRun> runs;
  std::vector<TaskScore> scores;  // one for each run
};

// Decodes the task with run_modes(). The answer may be a little longer than the right one, so that
// a model that does not stop is seen to be wrong.
Result<DemoJob> run_job(Engine& engine, std::string title, Task task, const JobOptions& options,
                        const Interrupt& interrupt);

// A table with a line per mode, and in plain words what it shows.
std::string report(const DemoJob& job);
nlohmann::ordered_json to_json(const DemoJob& job);

}  // namespace longhaul
