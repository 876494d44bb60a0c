#include "apps/bench_run.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/progress.h"
#include "sampling/random.h"

namespace longhaul {
namespace {

constexpr uint64_t kSeed = 1;

}  // namespace

Result<std::vector<BenchRow>> BenchRun::run() {
  std::vector<BenchRow> rows;
  for (const size_t depth : plan_.depths) {
    LH_RETURN_IF_ERROR(fill(depth));
    std::vector<BenchRow> at_depth = rows_at(depth);
    for (size_t turn = plan_.warmup ? 0 : 1; turn <= plan_.repetitions; ++turn) {
      const bool first = turn == (plan_.warmup ? 0 : 1);
      for (BenchRow& row : at_depth) LH_RETURN_IF_ERROR(run_test(row, turn > 0, first));
    }
    rows.insert(rows.end(), std::make_move_iterator(at_depth.begin()),
                std::make_move_iterator(at_depth.end()));
  }
  return rows;
}

std::vector<int32_t> BenchRun::tokens_at(size_t first, size_t n) const {
  std::vector<int32_t> tokens(n);
  for (size_t i = 0; i < n; ++i) {
    uint64_t state = first + i;
    tokens[i] = static_cast<int32_t>(split_mix64(state) % engine_.model_info().vocab_size);
  }
  return tokens;
}

Result<GenerateResult> BenchRun::generate(std::vector<int32_t> prompt, size_t n_tokens,
                                          AttentionMode mode, bool profile,
                                          const std::string& label) {
  ProgressBar bar(label, prompt.size() + n_tokens);
  GenerateRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens = n_tokens;
  request.attention = plan_.attention;
  request.attention.mode = mode;
  request.ignore_eos = true;
  request.profile = profile;
  request.on_progress = [&](size_t prompt_done, size_t, size_t generated) {
    bar.update(prompt_done + generated);
    return !interrupt_.requested();
  };
  LH_ASSIGN_OR_RETURN(GenerateResult result, session_.generate(request));
  if (result.finish_reason == FinishReason::kCancelled) {
    return make_error(ErrorCode::kCancelled, "stopped");
  }
  return result;
}

// Makes the session hold `depth` tokens; the cache then lacks none of them but perhaps the last.
Status BenchRun::fill(size_t depth) {
  session_.truncate(std::min(depth, session_.tokens().size()));
  const size_t n_before = session_.tokens().size();
  if (n_before == depth) return {};
  if (plan_.fill == "random") return session_.fill_random(depth, kSeed);
  LH_RETURN_IF_ERROR(generate(tokens_at(n_before, depth - n_before), 1, AttentionMode::kDense,
                              false, fmt::format("reading {} tokens", depth)));
  session_.truncate(depth);
  return {};
}

std::vector<BenchRow> BenchRun::rows_at(size_t depth) const {
  std::vector<BenchRow> rows;
  for (const size_t n : plan_.prompts)
    rows.push_back({.kind = BenchKind::kPrefill, .n_tokens = n, .depth = depth});
  if (plan_.n_generate == 0) return rows;
  for (const AttentionMode mode : plan_.modes) {
    rows.push_back(
        {.kind = BenchKind::kDecode, .n_tokens = plan_.n_generate, .depth = depth, .mode = mode});
  }
  return rows;
}

Status BenchRun::run_test(BenchRow& row, bool timed, bool profiled) {
  session_.truncate(row.depth);
  const bool prefill = row.kind == BenchKind::kPrefill;
  // A decode test counts the tokens after the first, which belongs to the pass over the prompt.
  const size_t n_prompt = prefill ? row.n_tokens : 1;
  const size_t n_generate = prefill ? 1 : row.n_tokens + 1;
  LH_ASSIGN_OR_RETURN(
      const GenerateResult result,
      generate(tokens_at(row.depth, n_prompt), n_generate, row.mode, profiled,
               prefill ? row.label() : fmt::format("{} {}", row.label(), to_string(row.mode))));
  const double elapsed_s = prefill ? result.timings.prefill_s : result.timings.decode_s;
  if (timed) row.tokens_per_s.push_back(static_cast<double>(row.n_tokens) / elapsed_s);
  if (!profiled) return {};
  row.profile = result.profile;
  row.profiled_s = elapsed_s;
  row.attention = result.attention;
  return {};
}

}  // namespace longhaul
