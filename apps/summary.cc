#include "apps/summary.h"

#include <fmt/format.h>

#include "apps/output.h"

namespace longhaul {
namespace {

// Of the whole text, at its end.
size_t n_tokens(const GenerateResult& result, const SummaryFacts& facts) {
  return facts.n_before + result.prompt_tokens + result.tokens.size();
}

std::string draft_words(const AttentionStats& stats) {
  std::string words = fmt::format(", {} of {} drafts accepted", stats.accepted, stats.drafted);
  if (stats.copied > 0)
    words += fmt::format(" ({} of {} of those copied)", stats.copied_accepted, stats.copied);
  return words;
}

std::string rectification_words(const AttentionStats& stats) {
  std::string words = fmt::format(", {} rectifications", stats.rectifications);
  if (stats.rectified_blocks_read < stats.rectified_blocks_total) {
    words += fmt::format(" of {} of the blocks",
                         percent(stats.rectified_blocks_read, stats.rectified_blocks_total));
  }
  return words;
}

// Tokens of sparse steps that no dense pass verified are not always the model's own.
std::string fidelity_words(const AttentionStats& stats) {
  if (stats.sparse_steps == 0) return "";
  const bool is_loose = stats.mode == AttentionMode::kSparse || stats.mode == AttentionMode::kResa;
  if (is_loose) return ", an approximate text";
  // `auto`, which may have been looser before.
  return stats.mode == AttentionMode::kDense && stats.drafted == 0 ? ", partly an approximate text"
                                                                   : "";
}

// Against what a dense step costs at the middle of what was generated, by the calibration.
std::string gain_words(const GenerateResult& result, const SummaryFacts& facts) {
  const double tokens_per_s = result.timings.decode_tokens_per_s();
  if (!facts.costs || tokens_per_s <= 0) return "";
  const double middle = static_cast<double>(n_tokens(result, facts)) -
                        static_cast<double>(result.timings.decoded_tokens) / 2;
  const double dense_ms = facts.costs->pass_ms[0] + facts.costs->attention_ns[0] * middle * 1e-6;
  return fmt::format(", {:.2f} times as fast as dense is predicted to be",
                     dense_ms * 1e-3 * tokens_per_s);
}

}  // namespace

SummaryFacts facts_of(Engine& engine, size_t n_before, const GenerateRequest& request) {
  SummaryFacts facts{engine.options().ctx_size, n_before, {}, {}};
  if (request.sampling.temperature > 0) facts.seed = request.sampling.seed;
  if (needs_calibration(request.attention)) {
    if (const auto costs = engine.calibration()) facts.costs = *costs;
  }
  return facts;
}

bool filled_context(const GenerateResult& result, const SummaryFacts& facts) {
  return result.finish_reason == FinishReason::kLength && n_tokens(result, facts) >= facts.ctx_size;
}

std::string finish_words(const GenerateResult& result, const SummaryFacts& facts) {
  const std::string reason(to_string(result.finish_reason));
  if (result.finish_reason != FinishReason::kLength) return reason;
  return filled_context(result, facts)
             ? fmt::format("{}: the context of {} tokens is full", reason, facts.ctx_size)
             : fmt::format("{}: as long as -n allows", reason);
}

std::string summary(const GenerateResult& result, const SummaryFacts& facts) {
  const Timings& timings = result.timings;
  const AttentionStats& stats = result.attention;
  const bool is_read = result.finish_reason != FinishReason::kCancelled || !result.tokens.empty();
  std::string line =
      fmt::format("prompt {} tokens {}in {:.2f} s; {} tokens", result.prompt_tokens,
                  is_read ? "" : "not read to the end ", timings.prefill_s, result.tokens.size());
  if (timings.decoded_tokens > 0)
    line += fmt::format(", {:.1f} tokens/s", timings.decode_tokens_per_s());
  line += fmt::format("; {}", to_string(stats.mode));
  if (stats.sparse_steps > 0) {
    line += fmt::format(", {} of KV blocks read", percent(stats.blocks_read, stats.blocks_total));
  } else if (stats.dense_steps > 0 && stats.mode != AttentionMode::kDense && stats.drafted == 0) {
    line += ", all KV blocks read";
  }
  if (stats.drafted > 0) {
    line += draft_words(stats);
  } else if (stats.rectifications > 0) {
    line += rectification_words(stats);
  }
  line += fidelity_words(stats) + gain_words(result, facts);
  if (!stats.reason.empty()) line += fmt::format(" ({})", stats.reason);
  if (facts.seed) line += fmt::format("; seed {}", *facts.seed);
  return line + "; " + finish_words(result, facts);
}

}  // namespace longhaul
