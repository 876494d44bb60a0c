// variables: chains of assignments scattered in prose; all variables that hold one value are asked
// for (RULER's variable tracking, arXiv 2404.06654). Two chains, so that the value has to be
// followed.
#include <algorithm>
#include <set>

#include "tasks/answers.h"
#include "tasks/english.h"
#include "tasks/task_kind.h"

namespace longhaul {
namespace {

constexpr size_t kHops = 4;  // assignments after the first
constexpr size_t kChains = 2;
constexpr size_t kNameLength = 5;
constexpr size_t kMostSentences = 1000000;

std::string draw_name(TaskRandom& random) {
  std::string name;
  for (size_t i = 0; i < kNameLength; ++i) name += static_cast<char>('A' + random.below(26));
  return name;
}

bool is_name(std::string_view word) {
  return word.size() == kNameLength &&
         std::all_of(word.begin(), word.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

struct Chain {
  std::string value;
  std::vector<std::string> names;  // in the order of assignment
};

std::vector<Chain> draw_chains(TaskRandom& random) {
  std::set<std::string> used;
  std::vector<Chain> chains(kChains);
  for (Chain& chain : chains) {
    do chain.value = std::to_string(10000 + random.below(90000));
    while (!used.insert(chain.value).second);
    while (chain.names.size() <= kHops) {
      const std::string name = draw_name(random);
      if (used.insert(name).second) chain.names.push_back(name);
    }
  }
  return chains;
}

std::string assignment(const Chain& chain, size_t hop) {
  return "VAR " + chain.names[hop] + " = " +
         (hop == 0 ? chain.value : "VAR " + chain.names[hop - 1]) + ".";
}

Result<Task> make(const TaskSpec& spec) {
  if (spec.n_units > kMostSentences) {
    return bad_input("variables task: {} sentences asked for; need at most {}", spec.n_units,
                     kMostSentences);
  }
  TaskRandom random(spec.seed);
  const std::vector<Chain> chains = draw_chains(random);
  // The assignments of a chain keep their order; where they stand is drawn.
  std::vector<std::vector<std::string>> before(spec.n_units + 1);  // what precedes a sentence
  for (const Chain& chain : chains) {
    std::vector<size_t> places;
    for (size_t i = 0; i <= kHops; ++i) places.push_back(random.below(spec.n_units + 1));
    std::sort(places.begin(), places.end());
    for (size_t i = 0; i <= kHops; ++i) before[places[i]].push_back(assignment(chain, i));
  }
  Task task;
  task.prompt = "Variables are assigned in the text below. Remember the chains of assignments.\n";
  for (size_t i = 0; i <= spec.n_units; ++i) {
    for (const std::string& line : before[i]) task.prompt += line + " ";
    if (i < spec.n_units) task.prompt += filler_sentence(random) + " ";
  }
  const Chain& asked = chains[random.below(kChains)];
  task.prompt += "\nFind all variables that hold the value " + asked.value +
                 ", directly or through other variables. There are " + std::to_string(kHops + 1) +
                 ".\nAnswer: The variables that hold the value " + asked.value + " are";
  task.answer = listed(asked.names);
  task.wanted = asked.names;
  return task;
}

}  // namespace

extern const TaskKind kVariablesTaskKind;
const TaskKind kVariablesTaskKind = {
    .name = "variables",
    .about = "chains of assignments in prose: who holds the value?",
    .least_units = 0,
    .most_units = kMostSentences,
    .one_line = true,
    .make = make,
    .score = [](const Task& task,
                std::string_view generated) { return score_words(task, generated, is_name); },
};

}  // namespace longhaul
