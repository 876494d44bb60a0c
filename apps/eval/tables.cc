#include "apps/eval/tables.h"

#include <fmt/format.h>

#include <algorithm>

#include "apps/table.h"

namespace longhaul::eval {
namespace {

std::string percent_of(double share) { return fmt::format("{:.1f}%", share * 100); }

std::string error_cell(double error) {
  return error < 0 ? "-" : fmt::format("{:.4f}%", error * 100);
}

std::string length_cell(size_t length) { return length == 0 ? "-" : fmt::format("{}", length); }

// The setting's name with the number of what is to be said about it.
std::string setting_cell(const std::string& setting, const std::string& note, TableText& table) {
  if (note.empty()) return setting;
  auto found = std::find(table.notes.begin(), table.notes.end(), note);
  if (found == table.notes.end()) found = table.notes.insert(found, note);
  return fmt::format("{} [{}]", setting, found - table.notes.begin() + 1);
}

TableText answers_table(const Summary& summary) {
  TableText table{
      "Answers: right ones with Wilson's 95% interval; lost and won against dense",
      {"task", ">length", "setting", ">right", ">accuracy", ">95% interval", ">steps right",
       ">tokens", ">hit limit", ">tokens/s", ">KV read", ">drafts accepted", ">lost/won"},
      {},
      {}};
  for (const AnswerRow& row : summary.answers) {
    const double accuracy = static_cast<double>(row.n_right) / static_cast<double>(row.n);
    table.rows.push_back(
        {row.task, length_cell(row.length), setting_cell(row.setting, row.note, table),
         fmt::format("{}/{}", row.n_right, row.n), percent_of(accuracy),
         fmt::format("{:.1f} to {:.1f}", row.interval.low * 100, row.interval.high * 100),
         percent_of(row.right_steps), fmt::format("{:.1f}", row.mean_tokens),
         percent_of(row.hit_limit), fmt::format("{:.0f}", row.tokens_per_s),
         percent_of(row.blocks_read), row.accepted < 0 ? "-" : percent_of(row.accepted),
         row.beside_dense ? fmt::format("{}/{}", row.n_lost, row.n_won) : "-"});
  }
  return table;
}

TableText depths_table(const Summary& summary) {
  TableText table{"Needles by depth", {"task", ">length", "setting", ">depth", ">right"}, {}, {}};
  for (const DepthCell& cell : summary.depths) {
    table.rows.push_back({cell.task, length_cell(cell.length), cell.setting, percent_of(cell.depth),
                          fmt::format("{}/{}", cell.n_right, cell.n)});
  }
  return table;
}

TableText forced_table(const Summary& summary) {
  TableText table{"Fixed text, token by token: divergence from dense in nats",
                  {"task", ">length", "setting", ">tokens", ">mean KL", ">KL 99.9%", ">same top",
                   ">perplexity", ">K error", ">V error"},
                  {},
                  {}};
  for (const ForcedRow& row : summary.forced) {
    table.rows.push_back({row.task, length_cell(row.length),
                          setting_cell(row.setting, row.note, table),
                          fmt::format("{}", row.n_tokens), fmt::format("{:.5f}", row.mean_kl),
                          fmt::format("{:.4f}", row.high_kl), percent_of(row.same_top),
                          fmt::format("{:.4f}", row.perplexity), error_cell(row.key_error),
                          error_cell(row.value_error)});
  }
  return table;
}

TableText recall_table(const Summary& summary) {
  TableText table{"Recall: share of the true attention mass in the blocks a selector chooses",
                  {"task", ">length", "budget", "selector", ">tokens", ">recall"},
                  {},
                  {}};
  for (const RecallRow& row : summary.recall) {
    table.rows.push_back({row.task, length_cell(row.length), row.setting, row.selector,
                          fmt::format("{}", row.n_tokens), percent_of(row.recall)});
  }
  return table;
}

}  // namespace

std::vector<TableText> tables(const Summary& summary) {
  std::vector<TableText> all;
  for (auto& table : {answers_table(summary), depths_table(summary), forced_table(summary),
                      recall_table(summary)}) {
    if (!table.rows.empty()) all.push_back(table);
  }
  return all;
}

std::string plain_text(const std::vector<TableText>& all) {
  std::string text;
  for (const TableText& table : all) {
    Table cells(table.columns);
    for (const auto& row : table.rows) cells.add(row);
    text += (text.empty() ? "" : "\n") + table.title + "\n\n" + cells.plain();
    for (size_t i = 0; i < table.notes.size(); ++i) {
      text += fmt::format("{}[{}] {}\n", i == 0 ? "\n" : "", i + 1, table.notes[i]);
    }
  }
  return text;
}

}  // namespace longhaul::eval
