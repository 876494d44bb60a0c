#include "apps/mode_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/answer.h"
#include "apps/output.h"
#include "apps/samples.h"
#include "base/progress.h"
#include "base/result.h"

namespace longhaul {
namespace {

size_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  const auto differ = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<size_t>(differ.first - a.begin());
}

// Shows the progress of the request in a bar until it goes.
class Progress {
 public:
  Progress(const std::string& label, size_t total, GenerateRequest& request,
           const Interrupt& interrupt)
      : bar_(label, total), request_(request) {
    request.on_progress = [this, &interrupt](size_t prompt_done, size_t, size_t generated) {
      bar_.update(prompt_done + generated);
      return !interrupt.requested();
    };
  }
  ~Progress() { request_.on_progress = nullptr; }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

 private:
  ProgressBar bar_;
  GenerateRequest& request_;
};

Status add_round(ModeRun& run, GenerateResult result, const std::string& title, size_t round) {
  run.tokens_per_s.push_back(result.timings.decode_tokens_per_s());
  if (round == 0) {
    run.result = std::move(result);
  } else if (result.tokens != run.result.tokens) {
    return make_error(ErrorCode::kIo, "{}: rounds 1 and {} of {} gave different tokens", title,
                      round + 1, to_string(run.mode));
  }
  return {};
}

}  // namespace

double ModeRun::median_tokens_per_s() const {
  return tokens_per_s.empty() ? 0 : median(tokens_per_s);
}

Result<std::vector<ModeRun>> run_modes(Engine& engine, const std::string& title,
                                       const std::vector<int32_t>& prompt, size_t max_tokens,
                                       JobOptions options, const Interrupt& interrupt) {
  // The others are compared with dense, so it comes first.
  std::stable_partition(options.modes.begin(), options.modes.end(),
                        [](AttentionMode mode) { return mode == AttentionMode::kDense; });
  GenerateRequest request;
  request.prompt = prompt;
  request.max_tokens = max_tokens;
  request.attention = options.attention;
  LH_ASSIGN_OR_RETURN(Session session, engine.new_session());
  std::unique_ptr<SharedPrompt> shared;
  {
    const Progress progress(title + ": the prompt", prompt.size(), request, interrupt);
    constexpr size_t kSeveral = 2;  // one would read the prompt itself
    LH_ASSIGN_OR_RETURN(shared, SharedPrompt::read(std::move(session), request, kSeveral));
  }
  std::vector<ModeRun> runs(options.modes.size());
  for (size_t round = 0; round < options.n_rounds; ++round) {
    for (size_t i = 0; i < runs.size(); ++i) {
      runs[i].mode = request.attention.mode = options.modes[i];
      const Progress progress(fmt::format("{}: {}, round {} of {}", title, to_string(runs[i].mode),
                                          round + 1, options.n_rounds),
                              max_tokens, request, interrupt);
      LH_ASSIGN_OR_RETURN(GenerateResult result, finished(shared->sample(0)));
      LH_RETURN_IF_ERROR(add_round(runs[i], std::move(result), title, round));
    }
  }
  for (ModeRun& run : runs) {
    const ModeRun& reference = runs.front().mode == AttentionMode::kDense ? runs.front() : run;
    run.n_as_dense = common_prefix(run.result.tokens, reference.result.tokens);
    run.same_as_dense = run.result.tokens == reference.result.tokens;
  }
  return runs;
}

const ModeRun* find_run(const std::vector<ModeRun>& runs, AttentionMode mode) {
  const auto found = std::find_if(runs.begin(), runs.end(),
                                  [mode](const ModeRun& run) { return run.mode == mode; });
  return found == runs.end() ? nullptr : &*found;
}

bool exact_is_dense(const std::vector<ModeRun>& runs) {
  const ModeRun* exact = find_run(runs, AttentionMode::kExact);
  return exact == nullptr || find_run(runs, AttentionMode::kDense) == nullptr ||
         exact->same_as_dense;
}

std::string speed_cell(const ModeRun& run) {
  return fmt::format("{:.1f}", run.median_tokens_per_s());
}

std::string speed_up_cell(const ModeRun& run, const ModeRun* dense) {
  const double base = dense == nullptr ? 0 : dense->median_tokens_per_s();
  if (base <= 0) return "-";
  return fmt::format("{:.2f}x", run.median_tokens_per_s() / base);
}

std::string read_cell(const ModeRun& run) {
  return percent(run.result.attention.blocks_read, run.result.attention.blocks_total);
}

std::string drafts_cell(const ModeRun& run) {
  const AttentionStats& stats = run.result.attention;
  return stats.drafted == 0 ? "-" : fmt::format("{}/{}", stats.accepted, stats.drafted);
}

std::string as_dense_cell(const ModeRun& run) {
  return run.same_as_dense ? "every token" : fmt::format("up to token {}", run.n_as_dense);
}

nlohmann::ordered_json to_json(const ModeRun& run) {
  return {{"mode", to_string(run.mode)},
          {"tokens", run.result.tokens.size()},
          {"same_as_dense", run.same_as_dense},
          {"tokens_as_dense", run.n_as_dense},
          {"finish_reason", to_string(run.result.finish_reason)},
          {"prefill_s", run.result.timings.prefill_s},
          {"decode_tokens_per_s", run.median_tokens_per_s()},
          {"rounds_tokens_per_s", run.tokens_per_s},
          {"attention", to_json(run.result.attention)}};
}

}  // namespace longhaul
