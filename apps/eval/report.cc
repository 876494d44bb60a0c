#include "apps/eval/report.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/eval/report_plots.h"
#include "apps/eval/report_style.h"
#include "apps/eval/svg.h"
#include "apps/eval/tables.h"
#include "apps/eval/verdict.h"

namespace longhaul::eval {
namespace {

constexpr size_t kMostWrong = 200;  // items; results.jsonl has them all

std::string percent_of(double share) { return fmt::format("{:.1f}%", 100 * share); }

std::string dot(AttentionMode mode) {
  return fmt::format("<span class=\"dot {}\"></span>", color_of(mode));
}

// `marks`: HTML before the first cell of each row; empty: none.
std::string html_table(const TableText& table, const std::vector<std::string>& marks = {}) {
  std::string out = "<div class=\"scroll\">\n<table>\n<tr>";
  const auto class_of = [&](size_t i) {
    return table.columns[i].starts_with('>') ? " class=\"number\"" : "";
  };
  for (size_t i = 0; i < table.columns.size(); ++i) {
    const size_t skip = table.columns[i].starts_with('>') ? 1 : 0;
    out += fmt::format("<th{}>{}</th>", class_of(i), escape_xml(table.columns[i].substr(skip)));
  }
  out += "</tr>\n";
  for (size_t r = 0; r < table.rows.size(); ++r) {
    out += "<tr>";
    for (size_t i = 0; i < table.rows[r].size(); ++i) {
      out += fmt::format("<td{}>{}{}</td>", class_of(i), i == 0 && !marks.empty() ? marks[r] : "",
                         escape_xml(table.rows[r][i]));
    }
    out += "</tr>\n";
  }
  out += "</table>\n</div>\n";
  if (table.notes.empty()) return out;
  out += "<ul class=\"notes\">\n";
  for (size_t i = 0; i < table.notes.size(); ++i) {
    out += fmt::format("<li>[{}] {}</li>\n", i + 1, escape_xml(table.notes[i]));
  }
  return out + "</ul>\n";
}

// All tasks and lengths together, few columns: what a phone shows whole.
std::string at_a_glance(const ReportInput& input) {
  const std::vector<Total> all = totals(input.summary, input.settings);
  if (all.empty()) return "";
  const auto dense =
      std::find_if(all.begin(), all.end(), [](const Total& total) { return total.is_reference; });
  TableText table{
      "", {"setting", ">right", ">to dense", ">dense's text", ">speed", ">KV read"}, {}, {}};
  std::vector<std::string> marks;
  for (const Total& total : all) {
    const bool compared = total.beside_dense && !total.is_reference;
    const bool timed = dense != all.end() && dense->tokens_per_s > 0;
    table.rows.push_back({total.setting, fmt::format("{}/{}", total.n_right, total.n),
                          compared ? difference_in_words(total) : "-",
                          compared ? fmt::format("{}/{}", total.n_same, total.n) : "-",
                          timed ? fmt::format("{:.2f}x", total.tokens_per_s / dense->tokens_per_s)
                                : fmt::format("{:.0f} tokens/s", total.tokens_per_s),
                          percent_of(total.blocks_read)});
    marks.push_back(dot(total.mode));
  }
  return "<h2>At a glance</h2>\n" + html_table(table, marks);
}

std::string facts(const ReportInput& input) {
  const ModelInfo& model = input.model;
  const Provenance& from = input.provenance;
  const auto fact = [](std::string_view name, const std::string& html) {
    return html.empty() ? "" : fmt::format("<dt>{}</dt><dd>{}</dd>\n", name, html);
  };
  return "<dl>\n" +
         fact("Model", escape_xml(fmt::format(
                           "{} ({}, {:.1f} M parameters, {}, trained for {} tokens)", model.name,
                           model.architecture, static_cast<double>(model.n_parameters) / 1e6,
                           model.weight_type, model.context_length))) +
         fact("Made", escape_xml(from.date)) + fact("By", escape_xml(from.version)) +
         fact("Command",
              from.command.empty() ? "" : "<code>" + escape_xml(from.command) + "</code>") +
         "</dl>\n";
}

std::string html_of(const WrongItem& item) {
  std::string out = fmt::format("<details>\n<summary>{}{}</summary>\n", escape_xml(name_of(item)),
                                item.lost ? ": <span class=\"lost\">dense is right</span>" : "");
  const auto text = [](const std::string& title, const std::string& body) {
    return fmt::format("<div class=\"soft\">{}</div>\n<pre>{}</pre>\n", escape_xml(title),
                       escape_xml(body));
  };
  out += text("Question", item.question) + text("Expected", item.expected);
  for (const WrongAnswer& answer : item.wrong) {
    out += text(fmt::format("Got from {}{}", fmt::join(answer.settings, ", "),
                            answer.hit_limit ? " (cut off at its limit)" : ""),
                answer.text);
  }
  if (!item.right.empty()) {
    out += fmt::format("<div class=\"soft\">Right: {}</div>\n",
                       escape_xml(fmt::format("{}", fmt::join(item.right, ", "))));
  }
  return out + "</details>\n";
}

std::string wrong_list(const std::vector<WrongItem>& wrong) {
  if (wrong.empty()) return "";
  std::string out = fmt::format(
      "<h2>Wrong answers</h2>\n<p class=\"soft\">{} items that a setting answered wrongly; those "
      "that dense has right come first.{}</p>\n",
      wrong.size(),
      wrong.size() > kMostWrong
          ? fmt::format(" Here are {}; results.jsonl has all answers.", kMostWrong)
          : "");
  for (size_t i = 0; i < std::min(kMostWrong, wrong.size()); ++i) out += html_of(wrong[i]);
  return out;
}

}  // namespace

std::string html_report(const ReportInput& input) {
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n<head>\n"
      "<meta charset=\"utf-8\"/>\n<meta name=\"viewport\" content=\"width=device-width, "
      "initial-scale=1\"/>\n"
      "<title>{0}: longhaul eval</title>\n<style>{1}</style>\n</head>\n<body>\n"
      "<h1>What each attention mode costs on {0}</h1>\n",
      escape_xml(input.model.name.empty() ? "a model" : input.model.name), kReportStyle);
  const std::string words = verdict(input.summary, input.settings);
  if (!words.empty()) out += "<p class=\"verdict\">" + escape_xml(words) + "</p>\n";
  out += at_a_glance(input) + facts(input);
  out += "<h2>Plots</h2>\n<div class=\"plots\">\n";
  for (const std::string& plot : plots(input.summary, input.settings, input.recalls)) {
    out += "<div>" + plot + "</div>\n";
  }
  out += "</div>\n";
  for (const TableText& table : tables(input.summary)) {
    out += "<h2>" + escape_xml(table.title) + "</h2>\n" + html_table(table);
  }
  out += wrong_list(input.wrong);
  out += "<h2>What was asked for</h2>\n<details><summary>Every option</summary>\n<pre>" +
         escape_xml(input.plan.dump(2)) + "</pre>\n</details>\n";
  return out + "</body>\n</html>\n";
}

}  // namespace longhaul::eval
