// One checkable task, decoded once in each mode: what `demo` runs and reports.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "apps/interrupt.h"
#include "longhaul/engine.h"
#include "tasks/task.h"

namespace longhaul {

// What one mode made of the task.
struct ModeRun {
  AttentionMode mode = AttentionMode::kDense;
  GenerateResult result;             // of the first round
  std::vector<double> tokens_per_s;  // decoding, one per round
  TaskScore score;
  size_t n_right_tokens = 0;  // tokens before the first that is not the right answer's
  size_t n_as_dense = 0;      // tokens before the first that is not the dense run's
  bool same_as_dense = false;

  double median_tokens_per_s() const;
};

struct DemoJob {
  std::string title;  // "path of 300 nodes"
  Task task;
  size_t n_prompt = 0;  // tokens
  size_t n_answer = 0;  // tokens of the right answer
  std::vector<ModeRun> runs;

  // The run of that mode, or nullptr.
  const ModeRun* find(AttentionMode mode) const;
  // False if `exact` ran and gave other tokens than `dense`: the engine broke its promise.
  bool exact_is_dense() const;
};

struct JobOptions {
  AttentionOptions attention;  // for each of the modes
  std::vector<AttentionMode> modes;
  size_t n_rounds =
      1;  // the modes take turns, so that a slow moment of the machine meets all of them
};

// Decodes the task greedily in each mode, dense before the others. The answer may be a little
// longer than the right one, so that a model that does not stop is seen to be wrong. Rounds after
// the first only measure speed; one that gives other tokens is an engine error.
Result<DemoJob> run_job(Engine& engine, std::string title, Task task, JobOptions options,
                        const Interrupt& interrupt);

// A table with a line per mode, and in plain words what it shows.
std::string report(const DemoJob& job);
nlohmann::ordered_json to_json(const DemoJob& job);

}  // namespace longhaul
