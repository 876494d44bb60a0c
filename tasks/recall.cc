#include "tasks/recall.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tasks/answers.h"
#include "tasks/random.h"
#include "tasks/task_kind.h"

namespace longhaul {
namespace {

constexpr uint64_t kFirstValue = 10;
constexpr uint64_t kValues = 90;

struct Pair {
  std::string key;    // " bako tiru"
  std::string value;  // "42"
};

std::vector<Pair> draw_pairs(const RecallTaskOptions& options, TaskRandom& random) {
  std::vector<std::string> names = task_names();
  random.shuffle(names);
  std::set<uint64_t> taken;
  std::vector<Pair> pairs;
  while (pairs.size() < options.n_pairs) {
    const uint64_t key = random.below(options.n_names * options.n_names);
    if (!taken.insert(key).second) continue;
    pairs.push_back({" " + names[key / options.n_names] + " " + names[key % options.n_names],
                     std::to_string(kFirstValue + random.below(kValues))});
  }
  return pairs;
}

}  // namespace

Result<Task> make_recall_task(const RecallTaskOptions& options, uint64_t seed) {
  const auto [n_pairs, n_queries, n_names] = options;
  if (n_pairs < 1 || n_pairs > kMostRecallPairs || n_queries < 1 || n_queries > n_pairs ||
      n_names > task_names().size() || n_pairs > n_names * n_names / 2) {
    return bad_input(
        "recall task: {} of {} pairs of {} names asked for; need 1 to {} pairs, at most half of "
        "the keys that up to {} names make, and as many to ask for",
        n_queries, n_pairs, n_names, kMostRecallPairs, task_names().size());
  }
  TaskRandom random(seed);
  std::vector<Pair> pairs = draw_pairs(options, random);
  Task task;
  task.prompt = "Each key has a value :";
  for (const Pair& pair : pairs) task.prompt += pair.key + " " + pair.value + " ;";
  task.prompt += " Write these keys again, each with its value:";
  random.shuffle(pairs);
  for (size_t i = 0; i < n_queries; ++i) {
    task.prompt += (i == 0 ? "" : " ,") + pairs[i].key;
    task.answer += pairs[i].key + " " + pairs[i].value + " ;";
    task.wanted.push_back(pairs[i].value);
  }
  task.prompt += " . Answer :";
  return task;
}

extern const TaskKind kRecallTaskKind;
const TaskKind kRecallTaskKind = {
    .name = "recall",
    .about = "many keys with values, a few asked for",
    .most_units = kMostRecallPairs,
    .has_queries = true,
    .one_line = true,
    .make =
        [](const TaskSpec& spec) {
          return make_recall_task({.n_pairs = spec.n_units, .n_queries = spec.n_queries},
                                  spec.seed);
        },
    .score = score_numbers,
};

}  // namespace longhaul
