#include "apps/output.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/check.h"

namespace longhaul {

int exit_status(ErrorCode code) {
  return code == ErrorCode::kBadInput || code == ErrorCode::kUnsupported ? 2 : 1;
}

void print_json(const nlohmann::ordered_json& document) {
  using Json = nlohmann::ordered_json;
  fmt::print("{}\n", document.dump(2, ' ', false, Json::error_handler_t::replace));
}

nlohmann::ordered_json to_json(const AttentionStats& stats) {
  nlohmann::ordered_json json = {
      {"mode", to_string(stats.mode)},
      {"dense_steps", stats.dense_steps},
      {"sparse_steps", stats.sparse_steps},
      {"blocks_read", stats.blocks_read},
      {"blocks_total", stats.blocks_total},
      {"rectifications", stats.rectifications},
      {"rectified_blocks_read", stats.rectified_blocks_read},
      {"rectified_blocks_total", stats.rectified_blocks_total},
      {"drafted", stats.drafted},
      {"accepted", stats.accepted},
      {"copied", stats.copied},
      {"copied_accepted", stats.copied_accepted},
  };
  if (stats.reason.empty()) return json;
  json["reason"] = stats.reason;
  const AutoChoice& choice = stats.auto_choice;
  nlohmann::ordered_json predicted = nlohmann::ordered_json::object();
  for (const ModeCost& cost : choice.costs)
    predicted[std::string(to_string(cost.mode))] = cost.ms_per_token;
  const auto every = [&](AttentionMode mode) {
    return choice.costs[static_cast<size_t>(mode)].every;
  };
  json["auto"] = {{"predicted_ms", std::move(predicted)},
                  {"draft", every(AttentionMode::kExact)},
                  {"rectify_every", every(AttentionMode::kResa)},
                  {"acceptance", choice.acceptance},
                  {"crossover", choice.crossover}};
  return json;
}

nlohmann::ordered_json to_json(const GenerateResult& result) {
  return {
      {"text", result.text},
      {"tokens", result.tokens},
      {"prompt_tokens", result.prompt_tokens},
      {"finish_reason", to_string(result.finish_reason)},
      {"timings",
       {{"prefill_s", result.timings.prefill_s},
        {"decode_s", result.timings.decode_s},
        {"decode_tokens_per_s", result.timings.decode_tokens_per_s()}}},
      {"attention", to_json(result.attention)},
  };
}

void print_warnings(const Engine& engine) {
  for (const std::string& warning : engine.warnings()) {
    fmt::print(stderr, "longhaul: warning: {}\n", warning);
  }
}

std::string summary(const GenerateResult& result) {
  const Timings& timings = result.timings;
  const AttentionStats& stats = result.attention;
  std::string line = fmt::format("prompt {} tokens in {:.2f} s; {} tokens", result.prompt_tokens,
                                 timings.prefill_s, result.tokens.size());
  if (timings.decode_s > 0) line += fmt::format(", {:.1f} tokens/s", timings.decode_tokens_per_s());
  line += fmt::format("; {}", to_string(stats.mode));
  if (stats.sparse_steps > 0) {
    line += fmt::format(", {} of KV blocks read", percent(stats.blocks_read, stats.blocks_total));
  }
  if (stats.drafted > 0) {
    line += fmt::format(", {} of {} drafts accepted", stats.accepted, stats.drafted);
    if (stats.copied > 0)
      line += fmt::format(" ({} of {} of those copied)", stats.copied_accepted, stats.copied);
  } else if (stats.rectifications > 0) {
    line += fmt::format(", {} rectifications", stats.rectifications);
    if (stats.rectified_blocks_read < stats.rectified_blocks_total) {
      line += fmt::format(" of {} of the blocks",
                          percent(stats.rectified_blocks_read, stats.rectified_blocks_total));
    }
  }
  if (!stats.reason.empty()) line += fmt::format(" ({})", stats.reason);
  return line + fmt::format("; {}", to_string(result.finish_reason));
}

std::string percent(size_t part, size_t whole) {
  if (whole == 0) return "-";
  return fmt::format("{:.1f}%", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

double median(std::vector<double> values) {
  LH_CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace longhaul
