// What every task is: a prompt and the one right answer, both plain text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace longhaul {

struct Task {
  std::string prompt;
  std::string answer;                    // follows the prompt directly and starts with a space
  std::vector<std::string> wanted = {};  // what an answer must name, where its wording is free
};

// How much of an answer is right, counted in steps (the parts that end in ";").
struct TaskScore {
  int n_steps = 0;        // in the right answer
  int n_right_steps = 0;  // right steps before the first wrong one
  bool exact = false;     // every step right and nothing after them
};

// Compares a generated text with the right answer, step by step. White space at the two ends of
// the whole text does not count; inside a step it does.
TaskScore score_answer(const Task& task, std::string_view generated);

// The 1,024 node names of the tasks: four letters, consonant and vowel in turn ("bako"), none an
// English word we know of. In the bundled model each, with the space before it, is one token.
const std::vector<std::string>& task_names();

}  // namespace longhaul
