// recall: many keys with values, shuffled, a few asked for. Every pair looks alike, so that nothing
// but the exact key tells where to look: the task on which sparse attention is known to fail while
// needles stay perfect (InfiniteBench's key-value retrieval, RULER's multi-query needles).
#include <algorithm>
#include <set>

#include "tasks/answers.h"
#include "tasks/random.h"
#include "tasks/task_kind.h"

namespace longhaul {
namespace {

constexpr uint64_t kFirstValue = 100000;  // values have six digits
constexpr uint64_t kValues = 900000;
constexpr size_t kMostPairs = 200000;

struct Pair {
  std::string key;  // "bako-tiru"
  std::string value;
};

// No key and no value twice.
std::vector<Pair> draw_pairs(size_t n, TaskRandom& random) {
  const auto& names = task_names();
  std::set<uint64_t> keys;
  std::set<uint64_t> values;
  std::vector<Pair> pairs;
  while (pairs.size() < n) {
    const uint64_t key = random.below(names.size() * names.size());
    const uint64_t value = kFirstValue + random.below(kValues);
    if (keys.count(key) + values.count(value) > 0) continue;
    keys.insert(key);
    values.insert(value);
    pairs.push_back(
        {names[key / names.size()] + "-" + names[key % names.size()], std::to_string(value)});
  }
  return pairs;
}

std::string join(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

Result<Task> make(const TaskSpec& spec) {
  if (spec.n_units < 1 || spec.n_units > kMostPairs || spec.n_queries < 1 ||
      spec.n_queries > spec.n_units) {
    return bad_input("recall task: {} of {} pairs asked for; need 1 to {} pairs", spec.n_queries,
                     spec.n_units, kMostPairs);
  }
  TaskRandom random(spec.seed);
  const std::vector<Pair> pairs = draw_pairs(spec.n_units, random);
  Task task;
  task.prompt = "Below is a list of keys, each with its value. Remember all of them.\n";
  for (const Pair& pair : pairs) {
    task.prompt += "The value of the key " + pair.key + " is " + pair.value + ".\n";
  }
  std::vector<size_t> order(pairs.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  random.shuffle(order);
  std::vector<std::string> keys;
  for (size_t i = 0; i < spec.n_queries; ++i) {
    keys.push_back(pairs[order[i]].key);
    task.wanted.push_back(pairs[order[i]].value);
  }
  const bool one = spec.n_queries == 1;
  const std::string asked = (one ? "value of the key " : "values of the keys ") + join(keys);
  task.prompt +=
      (one ? "What is the " : "What are the ") + asked +
      (one ? "? Answer with the value only.\n" : "? Answer with the values, in order.\n");
  task.prompt += "Answer: The " + asked + (one ? " is" : " are");
  task.answer = " " + join(task.wanted) + ".";
  return task;
}

}  // namespace

extern const TaskKind kRecallTaskKind;
const TaskKind kRecallTaskKind = {
    .name = "recall",
    .about = "many keys with values, a few asked for",
    .most_units = kMostPairs,
    .has_queries = true,
    .one_line = true,
    .make = make,
    .score = score_numbers,
};

}  // namespace longhaul
