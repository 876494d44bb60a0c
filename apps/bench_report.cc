#include "apps/bench_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/output.h"
#include "apps/table.h"
#include "cache/memory_plan.h"

namespace longhaul {

double BenchRow::median() const { return longhaul::median(tokens_per_s); }

double bytes_per_token(const ModelInfo& model, const EngineOptions& options, size_t depth,
                       const AttentionStats& stats, size_t n_tokens) {
  CacheConfig cache;
  cache.n_layers = model.n_layers;
  cache.n_kv_heads = model.n_kv_heads;
  cache.head_dim = model.head_dim;
  cache.k_type = options.k_type;
  cache.v_type = options.v_type;
  cache.block_size = options.block_size;
  cache.max_tokens = depth + n_tokens;
  const CacheBytes bytes = bytes_for_tokens(cache, depth + n_tokens / 2);
  const auto kv_bytes = static_cast<double>(bytes.keys() + bytes.values());
  const auto n_steps = static_cast<double>(stats.dense_steps + stats.sparse_steps);
  const auto n_passes = static_cast<double>(stats.rectifications);
  const double share_read = stats.blocks_total == 0 ? 1.0
                                                    : static_cast<double>(stats.blocks_read) /
                                                          static_cast<double>(stats.blocks_total);
  // A score reads the minimum or the maximum of each dimension, never both.
  const double bounds =
      static_cast<double>(stats.sparse_steps) * static_cast<double>(bytes.bounds()) / 2;
  const double weights = (n_steps + n_passes) * static_cast<double>(model.weight_bytes);
  const double kv = (n_steps * share_read + n_passes) * kv_bytes;
  return (weights + kv + bounds) / static_cast<double>(n_tokens);
}

std::string bench_label(const char* test, size_t n_tokens, size_t depth) {
  std::string label = fmt::format("{}{}", test, n_tokens);
  if (depth > 0) label += fmt::format(" @ d{}", depth);
  return label;
}

std::string markdown(const BenchReport& report) {
  const ModelInfo& model = report.model;
  std::string text = fmt::format(
      "{} ({}, {:.1f} M parameters, {} of weights), {} threads, K {} V {}, memory reads {:.1f} "
      "GB/s\n\n",
      model.name, model.architecture, static_cast<double>(model.n_parameters) / 1e6,
      format_bytes(model.weight_bytes), report.options.n_threads, to_string(report.options.k_type),
      to_string(report.options.v_type), report.read_bytes_per_s / 1e9);
  Table table({"test", "mode", ">tokens/s", ">min", ">max", ">MB/token", ">of bandwidth",
               ">KV read", ">accepted"});
  for (const BenchRow& row : report.rows) {
    const auto [least, most] =
        std::minmax_element(row.tokens_per_s.begin(), row.tokens_per_s.end());
    std::vector<std::string> cells = {row.label,
                                      row.attention ? std::string(to_string(row.mode)) : "",
                                      fmt::format("{:.2f}", row.median()),
                                      fmt::format("{:.2f}", *least), fmt::format("{:.2f}", *most)};
    if (row.attention) {
      const double rate = row.bytes_per_token * row.median() / report.read_bytes_per_s;
      cells.insert(cells.end(), {fmt::format("{:.2f}", row.bytes_per_token / 1e6),
                                 fmt::format("{:.1f}%", 100 * rate),
                                 percent(row.attention->blocks_read, row.attention->blocks_total),
                                 percent(row.attention->accepted, row.attention->drafted)});
    } else {
      cells.insert(cells.end(), {"", "", "", ""});
    }
    table.add(std::move(cells));
  }
  return text + table.markdown();
}

nlohmann::ordered_json to_json(const BenchReport& report) {
  const ModelInfo& model = report.model;
  nlohmann::ordered_json json = {
      {"model",
       {{"name", model.name},
        {"architecture", model.architecture},
        {"parameters", model.n_parameters},
        {"weight_bytes", model.weight_bytes}}},
      {"threads", report.options.n_threads},
      {"k_type", to_string(report.options.k_type)},
      {"v_type", to_string(report.options.v_type)},
      {"block_size", report.options.block_size},
      {"read_bytes_per_s", report.read_bytes_per_s},
      {"rows", nlohmann::ordered_json::array()},
  };
  for (const BenchRow& row : report.rows) {
    nlohmann::ordered_json item = {
        {"test", row.label}, {"tokens_per_s", row.median()}, {"samples", row.tokens_per_s}};
    if (row.attention) {
      item["mode"] = to_string(row.mode);
      item["bytes_per_token"] = row.bytes_per_token;
      item["bandwidth_share"] = row.bytes_per_token * row.median() / report.read_bytes_per_s;
      item["attention"] = to_json(*row.attention);
    }
    json["rows"].push_back(std::move(item));
  }
  return json;
}

}  // namespace longhaul
