// A question of the user's own, as a line of a JSONL file says it, and how its answer is judged.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "apps/eval/plan.h"
#include "tasks/task.h"

namespace longhaul::eval {

struct Question {
  std::string prompt;  // with its choices, and what asks for the answer
  std::string answer;  // the right one; of choices the letter
  std::string check;   // "exact", "boxed" or "choice"
  size_t n_choices = 0;

  bool is_worked() const { return check == "boxed"; }
  // What stands between prompt and answer: a blank, unless the prompt ends in one.
  std::string_view gap() const;
  // The judge of a generated text.
  std::function<TaskScore(std::string_view)> score() const;
};

// Error: no JSON object, a field that is missing or of another kind, an answer that is none of the
// choices or has no result to compare with.
Result<Question> read_question(const Plan& plan, std::string_view line);

}  // namespace longhaul::eval
