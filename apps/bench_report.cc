#include "apps/bench_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/calibration_cache.h"
#include "apps/output.h"
#include "apps/table.h"
#include "state/memory_plan.h"

namespace longhaul {
namespace {

std::string share(double part, double whole) {
  return part > 0 && whole > 0 ? fmt::format("{:.0f}%", 100 * part / whole) : "-";
}

std::string hash_text(const BenchRow& row) {
  return fmt::format("{:016x}", row.profile.logits_hash);
}

std::string mode_text(const BenchRow& row) {
  return row.kind == BenchKind::kDecode ? std::string(to_string(row.mode)) : "";
}

// The shares the first table has no room for: each part against the limit that bounds it.
std::string parts_table(const BenchReport& report) {
  const Machine& machine = report.machine;
  Table table({"test", "mode", ">weights GB/s", ">of read", ">attention GB/s", ">of read",
               ">attention Gop/s", ">of peak", ">chunk Gop/s", ">of peak"});
  const auto number = [](double value) {
    return value > 0 ? fmt::format("{:.1f}", value / 1e9) : std::string("-");
  };
  for (const BenchRow& row : report.rows) {
    const BenchCost cost = bench_cost(report, row);
    table.add({row.label(), mode_text(row), number(cost.weights_bytes_per_s),
               share(cost.weights_bytes_per_s, machine.read_bytes_per_s),
               number(cost.attention_bytes_per_s),
               share(cost.attention_bytes_per_s, machine.read_bytes_per_s),
               number(cost.attention_ops_per_s),
               share(cost.attention_ops_per_s, machine.dot_ops_per_s), number(cost.chunk_ops_per_s),
               share(cost.chunk_ops_per_s, machine.dot_ops_per_s)});
  }
  return table.markdown();
}

std::string headline(const BenchReport& report) {
  const ModelInfo& model = report.model;
  const bool random_weights = !report.options.shape.empty();
  std::string text = fmt::format(
      "{} ({}, {:.1f} M parameters, {} of weights), {} threads, K {} V {}{}\n",
      printable(model.name), printable(model.architecture),
      static_cast<double>(model.n_parameters) / 1e6, format_bytes(model.weight_bytes),
      report.options.n_threads, to_string(report.options.k_type), to_string(report.options.v_type),
      random_weights || report.fill == "random" ? "; speed only" : "");
  text += fmt::format("{}: reads {:.1f} GB/s, {} {:.0f} Gop/s; at most {} of memory used\n\n",
                      report.machine.cpu, report.machine.read_bytes_per_s / 1e9,
                      report.machine.dot_instruction, report.machine.dot_ops_per_s / 1e9,
                      format_bytes(report.peak_memory_bytes));
  return text;
}

// Why `auto` chose what it did, a line for each depth.
std::string auto_lines(const BenchReport& report) {
  std::string text;
  for (const BenchRow& row : report.rows) {
    if (row.mode == AttentionMode::kAuto)
      text += fmt::format("- auto, {}: {}\n", row.label(), row.attention.reason);
  }
  return text.empty() ? "" : "\n" + text;
}

// A share of a limit that was measured; 0 where it was not.
double part_of(double part, double whole) { return whole > 0 ? part / whole : 0; }

// A row of `resa` that is none: too few tokens for a pass.
std::string resa_line(const BenchReport& report) {
  for (const BenchRow& row : report.rows) {
    if (row.mode != AttentionMode::kResa || row.profile.chunks.n_passes > 0) continue;
    return fmt::format(
        "\nresa: {} tokens are too few for a pass every {} (-n, --rectify-every): its rows are "
        "sparse's.\n",
        row.n_tokens, report.attention.rectify_every);
  }
  return "";
}

nlohmann::ordered_json times_json(const PassTimes& times) {
  return {{"passes", times.n_passes},
          {"tokens", times.n_tokens},
          {"attended", times.n_attended},
          {"weights_s", times.weights_s},
          {"selection_s", times.selection_s},
          {"attention_s", times.attention_s},
          {"rest_s", times.rest_s}};
}

nlohmann::ordered_json row_json(const BenchReport& report, const BenchRow& row) {
  const BenchCost cost = bench_cost(report, row);
  const Machine& machine = report.machine;
  const bool prefill = row.kind == BenchKind::kPrefill;
  nlohmann::ordered_json item = {{"test", row.label()},          {"n_tokens", row.n_tokens},
                                 {"depth", row.depth},           {"texts", row.n_texts},
                                 {"tokens_per_s", row.median()}, {"spread", row.spread()},
                                 {"samples", row.tokens_per_s}};
  if (!prefill) item["mode"] = to_string(row.mode);
  item["ms_per_token"] = {{"weights", cost.weights_ms},     {"selection", cost.selection_ms},
                          {"attention", cost.attention_ms}, {"chunks", cost.chunks_ms},
                          {"rest", cost.rest_ms},           {"total", cost.total_ms()}};
  item["bytes_per_token"] = cost.bytes_per_token;
  item["bandwidth_share"] = part_of(cost.bytes_per_token * row.median(), machine.read_bytes_per_s);
  item["ops_per_token"] = cost.ops_per_token;
  item["peak_share"] = part_of(cost.ops_per_token * row.median(), machine.dot_ops_per_s);
  item["parts"] = {{"weights_bytes_per_s", cost.weights_bytes_per_s},
                   {"attention_bytes_per_s", cost.attention_bytes_per_s},
                   {"attention_ops_per_s", cost.attention_ops_per_s},
                   {"chunk_ops_per_s", cost.chunk_ops_per_s}};
  item["logits_hash"] = hash_text(row);
  item["profile"] = {{"prompt", times_json(row.profile.prompt)},
                     {"steps", times_json(row.profile.steps)},
                     {"chunks", times_json(row.profile.chunks)}};
  if (!prefill) item["attention"] = to_json(row.attention);
  return item;
}

}  // namespace

std::string BenchRow::label() const {
  std::string text = fmt::format("{}{}", kind == BenchKind::kPrefill ? "pp" : "tg", n_tokens);
  if (n_texts > 1) text += fmt::format(" x{}", n_texts);
  if (depth > 0) text += fmt::format(" @ d{}", depth);
  return text;
}

double BenchRow::median() const { return longhaul::median(tokens_per_s); }

double BenchRow::spread() const {
  const auto [least, most] = std::minmax_element(tokens_per_s.begin(), tokens_per_s.end());
  return (*most - *least) / 2;
}

std::string markdown(const BenchReport& report) {
  Table table({"test", "mode", ">t/s", ">ms/token", ">weights", ">select", ">attention", ">rectify",
               ">rest", ">MB/token", ">of read", ">of peak", ">KV read", ">accepted", "logits"});
  for (const BenchRow& row : report.rows) {
    const BenchCost cost = bench_cost(report, row);
    const auto ms = [](double value) { return fmt::format("{:.2f}", value); };
    table.add(
        {row.label(), mode_text(row), fmt::format("{:.2f} ± {:.2f}", row.median(), row.spread()),
         ms(1e3 / row.median()), ms(cost.weights_ms), ms(cost.selection_ms), ms(cost.attention_ms),
         ms(cost.chunks_ms), ms(cost.rest_ms), fmt::format("{:.1f}", cost.bytes_per_token / 1e6),
         share(cost.bytes_per_token * row.median(), report.machine.read_bytes_per_s),
         share(cost.ops_per_token * row.median(), report.machine.dot_ops_per_s),
         percent(row.attention.blocks_read, row.attention.blocks_total),
         percent(row.attention.accepted, row.attention.drafted), hash_text(row).substr(0, 8)});
  }
  return headline(report) + table.markdown() + "\nParts while they run:\n\n" + parts_table(report) +
         auto_lines(report) + resa_line(report);
}

std::string csv(const BenchReport& report) {
  std::string text =
      "test,n_tokens,depth,texts,mode,tokens_per_s,spread,weights_ms,selection_ms,attention_ms,"
      "chunks_ms,rest_ms,bytes_per_token,bandwidth_share,ops_per_token,peak_share,blocks_read,"
      "blocks_total,"
      "drafted,accepted,logits_hash\n";
  for (const BenchRow& row : report.rows) {
    const BenchCost cost = bench_cost(report, row);
    text +=
        fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n", row.label(),
                    row.n_tokens, row.depth, row.n_texts, mode_text(row), row.median(),
                    row.spread(), cost.weights_ms, cost.selection_ms, cost.attention_ms,
                    cost.chunks_ms, cost.rest_ms, cost.bytes_per_token,
                    part_of(cost.bytes_per_token * row.median(), report.machine.read_bytes_per_s),
                    cost.ops_per_token,
                    part_of(cost.ops_per_token * row.median(), report.machine.dot_ops_per_s),
                    row.attention.blocks_read, row.attention.blocks_total, row.attention.drafted,
                    row.attention.accepted, hash_text(row));
  }
  return text;
}

nlohmann::ordered_json to_json(const BenchReport& report) {
  const ModelInfo& model = report.model;
  const AttentionOptions& attention = report.attention;
  nlohmann::ordered_json json = {
      {"program", "longhaul bench"},
      {"machine", to_json(report.machine)},
      {"model",
       {{"name", model.name},
        {"architecture", model.architecture},
        {"parameters", model.n_parameters},
        {"weight_bytes", model.weight_bytes},
        {"weight_type", model.weight_type}}},
      {"peak_memory_bytes", report.peak_memory_bytes},
      {"speed_only", !report.options.shape.empty() || report.fill == "random"},
      {"fill", report.fill},
      {"threads", report.options.n_threads},
      {"k_type", to_string(report.options.k_type)},
      {"v_type", to_string(report.options.v_type)},
      {"block_size", report.options.block_size},
      {"selector", attention.selector},
      {"gates", model.gates},
      {"gate_threshold", attention.gate_threshold},
      {"sparse_ratio", attention.sparse_ratio},
      {"token_budget", attention.token_budget},
      {"rectify_every", attention.rectify_every},
      {"rows", nlohmann::ordered_json::array()},
  };
  if (report.calibration) {
    json["calibration"] = to_json(*report.calibration);
    json["calibration"]["was_stored"] = report.calibration_was_stored;
  }
  for (const BenchRow& row : report.rows) json["rows"].push_back(row_json(report, row));
  return json;
}

}  // namespace longhaul
