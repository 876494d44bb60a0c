// needle: one odd sentence at a given depth of plain prose, asked for at the end. A smoke test: a
// needle unlike its surroundings is the easiest thing to find.
#include <cmath>

#include "tasks/answers.h"
#include "tasks/english.h"
#include "tasks/task_kind.h"

namespace longhaul {
namespace {

constexpr size_t kMostSentences = 1000000;

Result<Task> make(const TaskSpec& spec) {
  if (spec.n_units < 1 || spec.n_units > kMostSentences) {
    return bad_input("needle task: {} sentences asked for; need 1 to {}", spec.n_units,
                     kMostSentences);
  }
  if (!(spec.depth >= 0 && spec.depth <= 1)) {
    return bad_input("needle task: expected a depth from 0 to 1, found {}", spec.depth);
  }
  TaskRandom random(spec.seed);
  const std::string word = compound_word(random.below(n_compound_words()));
  const std::string number = std::to_string(100000 + random.below(900000));
  const auto at = static_cast<size_t>(std::lround(spec.depth * static_cast<double>(spec.n_units)));
  Task task;
  task.prompt = "A special number is hidden in the text below. Remember it.\n";
  for (size_t i = 0; i <= spec.n_units; ++i) {
    if (i == at) task.prompt += "The special number for " + word + " is " + number + ". ";
    if (i < spec.n_units) task.prompt += filler_sentence(random) + " ";
  }
  task.prompt += "\nWhat is the special number for " + word +
                 "? Answer with the number only.\nAnswer: The special number for " + word + " is";
  task.answer = " " + number + ".";
  task.wanted = {number};
  return task;
}

}  // namespace

extern const TaskKind kNeedleTaskKind;
const TaskKind kNeedleTaskKind = {
    .name = "needle",
    .about = "one odd sentence in plain prose, at a grid of depths",
    .most_units = kMostSentences,
    .has_depth = true,
    .one_line = true,
    .make = make,
    .score = score_numbers,
};

}  // namespace longhaul
