#include "apps/demo_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/answer.h"
#include "apps/table.h"
#include "base/result.h"

namespace longhaul {
namespace {

std::string answer_cell(const TaskScore& score) {
  return score.exact ? "right" : fmt::format("wrong at step {}", score.n_right_steps + 1);
}

// One sentence about a mode, from what was counted.
std::string verdict(const DemoJob& job, size_t index) {
  const ModeRun& run = job.runs[index];
  const TaskScore& score = job.scores[index];
  const std::string_view name = to_string(run.mode);
  if (run.mode == AttentionMode::kExact) {
    return run.same_as_dense
               ? fmt::format("exact gave the same {} tokens as dense.", run.result.tokens.size())
               : fmt::format("EXACT DIFFERS FROM DENSE at token {}: this is a bug in the engine.",
                             run.n_as_dense + 1);
  }
  const std::string read = read_cell(run);
  if (score.exact)
    return fmt::format("{} answered right in all {} steps, reading {} of KV.", name, score.n_steps,
                       read);
  const size_t step = static_cast<size_t>(score.n_right_steps) + 1;
  if (run.mode == AttentionMode::kDense) {
    return fmt::format(
        "dense went wrong at step {} of {}: the model's own mistake, which no mode can mend.", step,
        score.n_steps);
  }
  const bool beside_dense = job.runs.front().mode == AttentionMode::kDense;
  if (beside_dense && job.scores.front().n_right_steps == score.n_right_steps) {
    return fmt::format("{} went wrong at step {} with dense, reading {} of KV.", name, step, read);
  }
  return fmt::format("{} went wrong at step {} of {}: {} of KV was not enough.", name, step,
                     score.n_steps, read);
}

}  // namespace

Result<DemoJob> run_job(Engine& engine, std::string title, Task task, const JobOptions& options,
                        const Interrupt& interrupt) {
  DemoJob job{std::move(title), std::move(task), 0, {}, {}, {}};
  LH_ASSIGN_OR_RETURN(const auto prompt, engine.tokenize(job.task.prompt, true, false));
  LH_ASSIGN_OR_RETURN(job.answer, engine.tokenize(job.task.answer, false, false));
  job.n_prompt = prompt.size();
  const size_t max_tokens = job.answer.size() + kSpareAnswerTokens;
  LH_ASSIGN_OR_RETURN(job.runs,
                      run_modes(engine, job.title, prompt, max_tokens, options, interrupt));
  for (const ModeRun& run : job.runs) job.scores.push_back(score_answer(job.task, run.result.text));
  return job;
}

std::string report(const DemoJob& job) {
  std::string text = fmt::format(
      "{}: a prompt of {} tokens, a right answer of {} tokens in {} steps\n\n", job.title,
      job.n_prompt, job.answer.size(), job.scores.empty() ? 0 : job.scores.front().n_steps);
  Table table({"mode", "answer", ">steps right", ">tokens", ">tokens/s", ">to dense", ">KV read",
               ">rectified", ">drafts accepted", "as dense"});
  const ModeRun* dense = find_run(job.runs, AttentionMode::kDense);
  for (size_t i = 0; i < job.runs.size(); ++i) {
    const ModeRun& run = job.runs[i];
    const TaskScore& score = job.scores[i];
    table.add({std::string(to_string(run.mode)), answer_cell(score),
               fmt::format("{}/{}", score.n_right_steps, score.n_steps),
               fmt::format("{}", run.result.tokens.size()), speed_cell(run),
               speed_up_cell(run, dense), read_cell(run),
               fmt::format("{}", run.result.attention.rectifications), drafts_cell(run),
               as_dense_cell(run)});
  }
  text += table.plain() + "\n";
  for (size_t i = 0; i < job.runs.size(); ++i) text += "  " + verdict(job, i) + "\n";
  return text;
}

nlohmann::ordered_json to_json(const DemoJob& job) {
  nlohmann::ordered_json json = {{"title", job.title},
                                 {"prompt_tokens", job.n_prompt},
                                 {"answer_tokens", job.answer.size()},
                                 {"exact_is_dense", exact_is_dense(job.runs)},
                                 {"runs", nlohmann::ordered_json::array()}};
  for (size_t i = 0; i < job.runs.size(); ++i) {
    const std::vector<int32_t>& tokens = job.runs[i].result.tokens;
    const auto differ =
        std::mismatch(tokens.begin(), tokens.end(), job.answer.begin(), job.answer.end());
    nlohmann::ordered_json run = to_json(job.runs[i]);
    run["right"] = job.scores[i].exact;
    run["steps"] = job.scores[i].n_steps;
    run["right_steps"] = job.scores[i].n_right_steps;
    run["right_tokens"] = differ.first - tokens.begin();
    json["runs"].push_back(std::move(run));
  }
  return json;
}

}  // namespace longhaul
