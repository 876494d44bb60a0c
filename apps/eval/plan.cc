#include "apps/eval/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/options.h"
#include "base/result.h"

namespace longhaul::eval {
namespace {

constexpr Measure kMeasures[] = {Measure::kAnswers, Measure::kForced, Measure::kRecall};

template <class T>
nlohmann::ordered_json names(const std::vector<T>& values) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const T& value : values) list.push_back(to_string(value));
  return list;
}

size_t file_bytes(const std::string& path) {
  std::error_code error;
  const auto n_bytes = std::filesystem::file_size(path, error);
  return error ? 0 : static_cast<size_t>(n_bytes);
}

// FNV-1a of pieces spread over the file: tells two trainings of one model apart, at any size.
std::string sampled_hash(const std::string& path) {
  constexpr size_t kPieces = 64, kPieceBytes = 4096;
  std::ifstream file(path, std::ios::binary);
  const size_t step = std::max(kPieceBytes, file_bytes(path) / kPieces);
  uint64_t hash = 1469598103934665603ULL;
  std::string piece(kPieceBytes, '\0');
  for (size_t i = 0; i < kPieces && file; ++i) {
    file.seekg(static_cast<std::streamoff>(i * step));
    file.read(piece.data(), static_cast<std::streamsize>(kPieceBytes));
    for (std::streamsize k = 0; k < file.gcount(); ++k) {
      hash = (hash ^ static_cast<unsigned char>(piece[size_t(k)])) * 1099511628211ULL;
    }
  }
  return fmt::format("{:016x}", hash);
}

}  // namespace

std::string_view to_string(Measure measure) {
  switch (measure) {
    case Measure::kAnswers:
      return "answers";
    case Measure::kForced:
      return "forced";
    case Measure::kRecall:
      return "recall";
  }
  return "unknown";
}

Result<Measure> parse_measure(std::string_view name) {
  for (const Measure measure : kMeasures) {
    if (to_string(measure) == name) return measure;
  }
  return bad_input("expected answers, forced or recall, found '{}'", name);
}

bool Plan::measures_any(Measure measure) const {
  return std::find(measures.begin(), measures.end(), measure) != measures.end();
}

std::string Plan::gates_for(size_t block_size) const {
  const auto found = gates.find(block_size);
  return found == gates.end() ? "" : found->second;
}

Status settle_gates(Plan& plan) {
  for (const std::string& path : plan.gate_paths) {
    EngineOptions options;
    options.gates_path = path;
    LH_RETURN_IF_ERROR(settle_block_size(options));
    if (!plan.gates.emplace(options.block_size, path).second) {
      return bad_input("--gates: two files for blocks of {} tokens: {} and {}", options.block_size,
                       plan.gates_for(options.block_size), path);
    }
  }
  if (plan.selectors.empty()) {
    plan.selectors = {plan.gates.empty() ? default_selector(plan.engine) : "gate"};
  }
  if (plan.block_sizes.empty()) {
    for (const auto& entry : plan.gates) plan.block_sizes.push_back(entry.first);
    if (plan.gates.empty()) plan.block_sizes = {16};
  }
  const auto& selectors = plan.selectors;
  if (std::find(selectors.begin(), selectors.end(), "gate") == selectors.end()) return {};
  for (const size_t block_size : plan.block_sizes) {
    if (plan.gates_for(block_size).empty())
      return bad_input("--gates: expected a file for blocks of {} tokens, found none", block_size);
  }
  return {};
}

nlohmann::ordered_json to_json(const Plan& plan) {
  nlohmann::ordered_json json = {
      {"model", std::filesystem::path(plan.engine.model_path).filename().string()},
      {"model_bytes", file_bytes(plan.engine.model_path)},
      {"model_hash", sampled_hash(plan.engine.model_path)},
      {"ctx-size", plan.engine.ctx_size},
      {"tasks", plan.tasks},
      {"questions", plan.questions},
      {"check", plan.check},
      {"text", plan.text_file},
      {"measure", names(plan.measures)},
      {"lengths", plan.lengths},
      {"depths", plan.depths},
      {"items", plan.n_items},
      {"queries", plan.n_queries},
      {"stride", plan.stride},
      {"windows", plan.n_windows},
      {"score-tokens", plan.n_score},
      {"max-tokens", plan.max_tokens},
      {"seed", plan.seed},
      {"chat", plan.chat},
      {"attention", names(plan.modes)},
      {"selector", plan.selectors},
      {"sparse-ratio", plan.ratios},
      {"token-budget", plan.token_budgets},
      {"block-size", plan.block_sizes},
      {"rectify-every", plan.periods},
      {"rectify", names(plan.rectify)},
      {"rectify-ratio", plan.attention.rectify_ratio},
      {"rectify-tolerance", plan.attention.rectify_tolerance},
      {"kv-type", names(plan.kv_types)},
      {"min-blocks", plan.attention.min_blocks},
      {"local-blocks", plan.attention.local_blocks},
      {"sink-blocks", plan.attention.sink_blocks},
  };
  if (plan.attention.always_draft) json["always-draft"] = true;
  if (plan.n_shots > 0) json["shots"] = plan.n_shots;
  if (const std::string& path = plan.engine.chat_template_path; !path.empty()) {
    json["chat-template"] = {{"file", std::filesystem::path(path).filename().string()},
                             {"hash", sampled_hash(path)}};
  }
  if (!plan.gate_thresholds.empty()) json["gate-threshold"] = plan.gate_thresholds;
  for (const auto& [block_size, path] : plan.gates) {
    json["gates"].push_back({{"file", std::filesystem::path(path).filename().string()},
                             {"block_size", block_size},
                             {"hash", sampled_hash(path)}});
  }
  return json;
}

}  // namespace longhaul::eval
