#include "tasks/sum.h"

#include <string>
#include <vector>

#include "tasks/random.h"
#include "tasks/task_kind.h"

namespace longhaul {

Result<Task> make_sum_task(const SumTaskOptions& options, uint64_t seed) {
  std::vector<std::string> names = task_names();
  const auto n_names = static_cast<int64_t>(names.size());
  if (options.n_entries < 1 || options.n_entries > n_names) {
    return bad_input("sum task: {} entries asked for; need 1 to {}", options.n_entries, n_names);
  }
  TaskRandom random(seed);
  random.shuffle(names);
  Task task;
  task.prompt = "sum:";
  int total = 0;
  for (int i = 0; i < options.n_entries; ++i) {
    const int addend = static_cast<int>(random.below(kSumMaxAddend + 1));
    total = (total + addend) % kSumModulus;
    task.prompt += fmt::format(" {} {} ;", names[size_t(i)], addend);
    task.answer += fmt::format(" {} {} {} ;", names[size_t(i)], addend, total);
  }
  task.prompt += " total :";
  return task;
}

extern const TaskKind kSumTaskKind;
const TaskKind kSumTaskKind = {
    .name = "sum",
    .about = "running totals of a labelled list",
    .most_units = 1023,
    .make =
        [](const TaskSpec& spec) {
          return make_sum_task({.n_entries = static_cast<int>(spec.n_units)}, spec.seed);
        },
    .score = score_answer,
};

}  // namespace longhaul
