#include "apps/demo_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/answer.h"
#include "apps/output.h"
#include "apps/table.h"
#include "base/progress.h"
#include "base/result.h"

namespace longhaul {
namespace {

size_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  const auto differ = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<size_t>(differ.first - a.begin());
}

Result<GenerateResult> generate(Engine& engine, const std::vector<int32_t>& prompt,
                                size_t max_tokens, const AttentionOptions& attention,
                                const std::string& label, const Interrupt& interrupt) {
  LH_ASSIGN_OR_RETURN(Session session, engine.new_session());
  ProgressBar bar(label, prompt.size() + max_tokens);
  GenerateRequest request;
  request.prompt = prompt;
  request.max_tokens = max_tokens;
  request.attention = attention;
  request.on_progress = [&](size_t prompt_done, size_t, size_t generated) {
    bar.update(prompt_done + generated);
    return !interrupt.requested();
  };
  return finished(session.generate(request));
}

std::string speed_up(const ModeRun& run, const ModeRun* dense) {
  const double base = dense == nullptr ? 0 : dense->median_tokens_per_s();
  if (base <= 0) return "-";
  return fmt::format("{:.2f}x", run.median_tokens_per_s() / base);
}

std::string answer_cell(const TaskScore& score) {
  return score.exact ? "right" : fmt::format("wrong at step {}", score.n_right_steps + 1);
}

// One sentence about a mode, from what was counted.
std::string verdict(const ModeRun& run, const ModeRun* dense) {
  const TaskScore& score = run.score;
  const std::string_view name = to_string(run.mode);
  if (run.mode == AttentionMode::kExact) {
    return run.same_as_dense
               ? fmt::format("exact gave the same {} tokens as dense.", run.result.tokens.size())
               : fmt::format("EXACT DIFFERS FROM DENSE at token {}: this is a bug in the engine.",
                             run.n_as_dense + 1);
  }
  const std::string read =
      percent(run.result.attention.blocks_read, run.result.attention.blocks_total);
  if (score.exact)
    return fmt::format("{} answered right in all {} steps, reading {} of KV.", name, score.n_steps,
                       read);
  const size_t step = static_cast<size_t>(score.n_right_steps) + 1;
  if (run.mode == AttentionMode::kDense) {
    return fmt::format(
        "dense went wrong at step {} of {}: the model's own mistake, which no mode can mend.", step,
        score.n_steps);
  }
  if (dense != nullptr && dense->score.n_right_steps == score.n_right_steps) {
    return fmt::format("{} went wrong at step {} with dense, reading {} of KV.", name, step, read);
  }
  return fmt::format("{} went wrong at step {} of {}: {} of KV was not enough.", name, step,
                     score.n_steps, read);
}

// Compares the first round of a mode with the right answer and with the dense run.
void judge(const DemoJob& job, ModeRun& run, std::span<const int32_t> answer) {
  const ModeRun& reference =
      job.runs.front().mode == AttentionMode::kDense ? job.runs.front() : run;
  run.score = score_answer(job.task, run.result.text);
  run.n_right_tokens = common_prefix(run.result.tokens, answer);
  run.n_as_dense = common_prefix(run.result.tokens, reference.result.tokens);
  run.same_as_dense = run.result.tokens == reference.result.tokens;
}

}  // namespace

double ModeRun::median_tokens_per_s() const {
  return tokens_per_s.empty() ? 0 : median(tokens_per_s);
}

const ModeRun* DemoJob::find(AttentionMode mode) const {
  const auto found = std::find_if(runs.begin(), runs.end(),
                                  [mode](const ModeRun& run) { return run.mode == mode; });
  return found == runs.end() ? nullptr : &*found;
}

bool DemoJob::exact_is_dense() const {
  const ModeRun* exact = find(AttentionMode::kExact);
  return exact == nullptr || find(AttentionMode::kDense) == nullptr || exact->same_as_dense;
}

Result<DemoJob> run_job(Engine& engine, std::string title, Task task, JobOptions options,
                        const Interrupt& interrupt) {
  // The others are compared with dense, so it comes first.
  std::stable_partition(options.modes.begin(), options.modes.end(),
                        [](AttentionMode mode) { return mode == AttentionMode::kDense; });
  DemoJob job{std::move(title), std::move(task), 0, 0, {}};
  LH_ASSIGN_OR_RETURN(const auto prompt, engine.tokenize(job.task.prompt, true, false));
  LH_ASSIGN_OR_RETURN(const auto answer, engine.tokenize(job.task.answer, false, false));
  job.n_prompt = prompt.size();
  job.n_answer = answer.size();
  job.runs.resize(options.modes.size());
  for (size_t round = 0; round < options.n_rounds; ++round) {
    for (size_t i = 0; i < options.modes.size(); ++i) {
      ModeRun& run = job.runs[i];
      run.mode = options.attention.mode = options.modes[i];
      const std::string label = fmt::format("{}: {}, round {} of {}", job.title,
                                            to_string(run.mode), round + 1, options.n_rounds);
      LH_ASSIGN_OR_RETURN(GenerateResult result,
                          generate(engine, prompt, answer.size() + kSpareAnswerTokens,
                                   options.attention, label, interrupt));
      run.tokens_per_s.push_back(result.timings.decode_tokens_per_s());
      if (round == 0) {
        run.result = std::move(result);
        judge(job, run, answer);
      } else if (result.tokens != run.result.tokens) {
        return make_error(ErrorCode::kIo, "{}: rounds 1 and {} of {} gave different tokens",
                          job.title, round + 1, to_string(run.mode));
      }
    }
  }
  return job;
}

std::string report(const DemoJob& job) {
  std::string text = fmt::format(
      "{}: a prompt of {} tokens, a right answer of {} tokens in {} steps\n\n", job.title,
      job.n_prompt, job.n_answer, job.runs.empty() ? 0 : job.runs.front().score.n_steps);
  Table table({"mode", "answer", ">steps right", ">tokens", ">tokens/s", ">to dense", ">KV read",
               ">rectified", ">drafts accepted", "as dense"});
  for (const ModeRun& run : job.runs) {
    const AttentionStats& stats = run.result.attention;
    table.add({std::string(to_string(run.mode)), answer_cell(run.score),
               fmt::format("{}/{}", run.score.n_right_steps, run.score.n_steps),
               fmt::format("{}", run.result.tokens.size()),
               fmt::format("{:.1f}", run.median_tokens_per_s()),
               speed_up(run, job.find(AttentionMode::kDense)),
               percent(stats.blocks_read, stats.blocks_total),
               fmt::format("{}", stats.rectifications),
               stats.drafted == 0 ? "-" : fmt::format("{}/{}", stats.accepted, stats.drafted),
               run.same_as_dense ? "every token" : fmt::format("up to token {}", run.n_as_dense)});
  }
  text += table.plain() + "\n";
  for (const ModeRun& run : job.runs)
    text += "  " + verdict(run, job.find(AttentionMode::kDense)) + "\n";
  return text;
}

nlohmann::ordered_json to_json(const DemoJob& job) {
  nlohmann::ordered_json json = {{"title", job.title},
                                 {"prompt_tokens", job.n_prompt},
                                 {"answer_tokens", job.n_answer},
                                 {"exact_is_dense", job.exact_is_dense()},
                                 {"runs", nlohmann::ordered_json::array()}};
  for (const ModeRun& run : job.runs) {
    json["runs"].push_back({{"mode", to_string(run.mode)},
                            {"right", run.score.exact},
                            {"steps", run.score.n_steps},
                            {"right_steps", run.score.n_right_steps},
                            {"right_tokens", run.n_right_tokens},
                            {"tokens", run.result.tokens.size()},
                            {"same_as_dense", run.same_as_dense},
                            {"tokens_as_dense", run.n_as_dense},
                            {"finish_reason", to_string(run.result.finish_reason)},
                            {"prefill_s", run.result.timings.prefill_s},
                            {"decode_tokens_per_s", run.median_tokens_per_s()},
                            {"rounds_tokens_per_s", run.tokens_per_s},
                            {"attention", to_json(run.result.attention)}});
  }
  return json;
}

}  // namespace longhaul
