#include "apps/output.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <system_error>

#include "apps/interrupt.h"
#include "base/check.h"
#include "base/result.h"
#include "base/utf8.h"

namespace longhaul {
namespace {

// What a terminal takes as a command, or what turns the order of characters behind it.
bool is_control(char32_t code) {
  return code < 0x20 || (code >= 0x7F && code < 0xA0) || (code >= 0x202A && code <= 0x202E) ||
         (code >= 0x2066 && code <= 0x2069);
}

}  // namespace

int exit_status(ErrorCode code) {
  if (code == ErrorCode::kCancelled) return kExitInterrupted;
  return code == ErrorCode::kBadInput || code == ErrorCode::kUnsupported ? 2 : 1;
}

std::string printable(std::string_view text) {
  std::string out;
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Char c = decode_utf8(text, pos);
    const std::string_view bytes = text.substr(pos, c.n_bytes);
    pos += c.n_bytes;
    if (bytes == "\n") {
      out += "\\n";
    } else if (c.state == Utf8State::kValid && !is_control(c.code)) {
      out += bytes;
    } else {
      for (const char byte : bytes)
        out += fmt::format("\\x{:02X}", static_cast<unsigned char>(byte));
    }
  }
  return out;
}

void print_error(std::string_view message) {
  std::fputs(fmt::format("longhaul: {}\n", printable(message)).c_str(), stderr);
}

Status flush_output() {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return {};
  const std::string reason =
      errno == 0 ? "not all was written" : std::generic_category().message(errno);
  return make_error(ErrorCode::kIo, "standard output: cannot write: {}", reason);
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
    fmt::print(stderr, "longhaul: warning: {}\n", printable(warning));
  }
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
