#include "apps/bench_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "base/progress.h"
#include "base/random.h"
#include "base/result.h"

namespace longhaul {
namespace {

constexpr uint64_t kSeed = 1;

// Of texts in the same passes: each counts every pass and has its share of the time.
void add_passes(const PassTimes& times, PassTimes& sum) {
  const size_t n_passes = std::max(sum.n_passes, times.n_passes);
  sum += times;
  sum.n_passes = n_passes;
}

void add_text(const GenerateResult& result, BenchRow& row) {
  add_passes(result.profile.prompt, row.profile.prompt);
  add_passes(result.profile.steps, row.profile.steps);
  add_passes(result.profile.chunks, row.profile.chunks);
  row.attention.sparse_steps += result.attention.sparse_steps;
  row.attention.dense_steps += result.attention.dense_steps;
  row.attention.blocks_read += result.attention.blocks_read;
  row.attention.blocks_total += result.attention.blocks_total;
  row.attention.drafted += result.attention.drafted;
  row.attention.accepted += result.attention.accepted;
  row.attention.copied += result.attention.copied;
  row.attention.copied_accepted += result.attention.copied_accepted;
}

}  // namespace

Result<std::vector<BenchRow>> BenchRun::run() {
  std::vector<BenchRow> rows;
  for (const size_t depth : plan_.depths) {
    for (size_t text = 0; text < sessions_.size(); ++text) LH_RETURN_IF_ERROR(fill(text, depth));
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
  if (!text_.empty()) {
    const auto begin = text_.begin() + static_cast<std::ptrdiff_t>(first);
    return {begin, begin + static_cast<std::ptrdiff_t>(n)};
  }
  std::vector<int32_t> tokens(n);
  for (size_t i = 0; i < n; ++i) {
    uint64_t state = first + i;
    tokens[i] = static_cast<int32_t>(split_mix64(state) % engine_.model_info().vocab_size);
  }
  return tokens;
}

// Random texts differ in their first token, so that their logits do.
std::vector<int32_t> BenchRun::prompt_of(const BenchRow& row, size_t text) const {
  const size_t n = row.kind == BenchKind::kPrefill ? row.n_tokens : 1;
  return tokens_at(row.depth + (text_.empty() ? text : 0), n);
}

GenerateRequest BenchRun::request(std::vector<int32_t> prompt, size_t n_tokens,
                                  AttentionMode mode) const {
  GenerateRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens = n_tokens;
  request.attention = plan_.attention;
  request.attention.mode = mode;
  request.ignore_eos = true;
  return request;
}

Result<GenerateResult> BenchRun::generate(Session& session, GenerateRequest request,
                                          const std::string& label) {
  // One bar for all: that of the text with a label.
  ProgressBar bar(label, request.prompt.size() + request.max_tokens,
                  label.empty() ? std::chrono::hours(24) : std::chrono::milliseconds(500));
  request.on_progress = [&](size_t prompt_done, size_t, size_t generated) {
    bar.update(prompt_done + generated);
    return !interrupt_.requested();
  };
  LH_ASSIGN_OR_RETURN(GenerateResult result, session.generate(request));
  if (result.finish_reason == FinishReason::kCancelled) {
    return make_error(ErrorCode::kCancelled, "stopped");
  }
  return result;
}

// The texts of a test, each from a thread of its own where they are several: the engine runs them in
// passes together.
Result<std::vector<GenerateResult>> BenchRun::generate_all(const BenchRow& row, bool profile) {
  const bool prefill = row.kind == BenchKind::kPrefill;
  // A decode test counts the tokens after the first, which belongs to the pass over the prompt.
  const size_t n_generate = prefill ? 1 : row.n_tokens + 1;
  std::vector<Result<GenerateResult>> results(row.n_texts);
  const auto run_text = [&](size_t text, const std::string& label) {
    GenerateRequest one = request(prompt_of(row, text), n_generate, row.mode);
    one.profile = profile;
    results[text] = generate(sessions_[text], std::move(one), label);
  };
  {
    std::vector<std::jthread> threads;
    for (size_t text = 1; text < row.n_texts; ++text) threads.emplace_back(run_text, text, "");
    run_text(0, prefill ? row.label() : fmt::format("{} {}", row.label(), to_string(row.mode)));
  }
  std::vector<GenerateResult> all;
  for (Result<GenerateResult>& result : results) {
    LH_ASSIGN_OR_RETURN(GenerateResult one, std::move(result));
    all.push_back(std::move(one));
  }
  return all;
}

// Makes a session hold `depth` tokens; the cache then lacks none of them but perhaps the last.
Status BenchRun::fill(size_t text, size_t depth) {
  Session& session = sessions_[text];
  session.truncate(std::min(depth, session.tokens().size()));
  const size_t n_before = session.tokens().size();
  if (n_before == depth) return {};
  if (plan_.fill == "random") return session.fill_random(depth, kSeed + text);
  const auto read =
      generate(session, request(tokens_at(n_before, depth - n_before), 1, AttentionMode::kDense),
               fmt::format("reading {} tokens", depth));
  if (!read) return tl::unexpected<Error>(read.error());
  session.truncate(depth);
  return {};
}

std::vector<BenchRow> BenchRun::rows_at(size_t depth) const {
  std::vector<BenchRow> rows;
  for (const size_t n : plan_.prompts)
    rows.push_back({.kind = BenchKind::kPrefill, .n_tokens = n, .depth = depth});
  if (plan_.n_generate == 0) return rows;
  for (const size_t n_texts : plan_.batches) {
    for (const AttentionMode mode : plan_.modes) {
      rows.push_back({.kind = BenchKind::kDecode,
                      .n_tokens = plan_.n_generate,
                      .depth = depth,
                      .n_texts = n_texts,
                      .mode = mode});
    }
  }
  return rows;
}

Status BenchRun::run_test(BenchRow& row, bool timed, bool profiled) {
  for (size_t text = 0; text < row.n_texts; ++text) sessions_[text].truncate(row.depth);
  LH_ASSIGN_OR_RETURN(const std::vector<GenerateResult> results, generate_all(row, profiled));
  const bool prefill = row.kind == BenchKind::kPrefill;
  double elapsed_s = 0;  // of the slowest text
  for (const GenerateResult& result : results)
    elapsed_s = std::max(elapsed_s, prefill ? result.timings.prefill_s : result.timings.decode_s);
  if (timed)
    row.tokens_per_s.push_back(static_cast<double>(row.n_tokens * row.n_texts) / elapsed_s);
  if (!profiled) return {};
  row.profile = results.front().profile;
  row.profiled_s = elapsed_s;
  row.attention = results.front().attention;
  for (size_t text = 1; text < results.size(); ++text) add_text(results[text], row);
  return {};
}

}  // namespace longhaul
