// One prompt with what is known about its answer: what every setting of an evaluation runs.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "apps/eval/plan.h"
#include "tasks/task.h"

namespace longhaul::eval {

struct Item {
  std::string task;              // "path", or the file's name
  size_t length = 0;             // tokens asked for; 0 where a file decides
  double depth = -1;             // of a needle; below 0: none
  size_t index = 0;              // in (task, length)
  std::string question, answer;  // as text, for readers; empty where there is no answer to judge
  std::vector<int32_t> context;  // at least one token
  size_t n_shared = 0;  // first tokens of context that are those of every item of the task; fewer
                        // than all
  std::vector<int32_t> target;  // the right answer or the text that follows
  size_t max_tokens = 0;
  std::vector<std::string> stop;
  std::function<TaskScore(std::string_view)> score;  // null: there is no answer to judge
};

// Everything the plan asks for, made and checked. Errors: an unknown task, a file that cannot be
// read (with its line), an item beyond the context.
Result<std::vector<Item>> make_items(const Plan& plan, const Engine& engine);

// The parts of make_items, one per source.
Status add_task_items(const Plan& plan, const Engine& engine, const std::string& name,
                      std::vector<Item>& items);
Status add_text_items(const Plan& plan, const Engine& engine, std::vector<Item>& items);
Status add_perplexity_items(const Plan& plan, const Engine& engine, std::vector<Item>& items);
Status add_question_items(const Plan& plan, const Engine& engine, const std::string& path,
                          std::vector<Item>& items);

// The prompt's tokens: as it stands, or as a user's turn with --chat.
Result<std::vector<int32_t>> prompt_tokens(const Plan& plan, const Engine& engine,
                                           const std::string& prompt);

// Every name --tasks takes: those of tasks/, then text and perplexity.
std::vector<std::string> task_names_known();

}  // namespace longhaul::eval
