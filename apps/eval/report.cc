#include "apps/eval/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "apps/eval/plot.h"
#include "apps/eval/tables.h"

namespace longhaul::eval {
namespace {

// The budget as a number for an axis, and the setting's name without it: a line of a plot.
struct Place {
  double budget = 0;
  std::string line;
};

Place place_of(const std::string& name, const AttentionOptions& attention) {
  const std::string budget = budget_name(attention) + " ";
  Place place{attention.token_budget > 0 ? static_cast<double>(attention.token_budget)
                                         : attention.sparse_ratio * 100,
              name};
  const size_t at = place.line.find(budget);
  if (at != std::string::npos) place.line.erase(at, budget.size());
  return place;
}

class Lines {
 public:
  void add(const std::string& name, Series::Point point) {
    if (points_.count(name) == 0) order_.push_back(name);
    points_[name].push_back(point);
  }
  std::vector<Series> series() const {
    std::vector<Series> all;
    for (const std::string& name : order_) {
      Series series{name, points_.at(name)};
      std::sort(series.points.begin(), series.points.end(),
                [](const auto& a, const auto& b) { return a.x < b.x; });
      all.push_back(std::move(series));
    }
    return all;
  }

 private:
  std::map<std::string, std::vector<Series::Point>> points_;
  std::vector<std::string> order_;
};

using Plots = std::map<std::string, Lines>;  // by task and length

std::string text_name(const std::string& task, size_t length) {
  return length == 0 ? task : fmt::format("{}, {} tokens", task, length);
}

// Every budget that was run; a line without one (dense) is drawn across all.
std::vector<double> budgets_of(const std::vector<Setting>& settings) {
  std::vector<double> budgets;
  for (const Setting& setting : settings) {
    if (!setting.is_dense()) budgets.push_back(place_of("", setting.attention).budget);
  }
  std::sort(budgets.begin(), budgets.end());
  budgets.erase(std::unique(budgets.begin(), budgets.end()), budgets.end());
  if (budgets.empty()) budgets.push_back(100);
  return budgets;
}

const Setting* find(const std::vector<Setting>& settings, const std::string& name) {
  for (const Setting& setting : settings) {
    if (setting.name == name) return &setting;
  }
  return nullptr;
}

std::string draw(const Plots& plots, const std::string& title, const std::string& x_label,
                 const std::string& y_label, double y_top) {
  std::string out;
  for (const auto& [text, lines] : plots) {
    out += svg({title + ": " + text, x_label, y_label, lines.series(), y_top});
  }
  return out;
}

std::string answer_plots(const Summary& summary, const std::vector<Setting>& settings) {
  Plots plots;
  const std::vector<double> budgets = budgets_of(settings);
  for (const AnswerRow& row : summary.answers) {
    const Setting* setting = find(settings, row.setting);
    if (setting == nullptr) continue;
    const double y = 100 * static_cast<double>(row.n_right) / static_cast<double>(row.n);
    Lines& lines = plots[text_name(row.task, row.length)];
    if (setting->is_dense()) {
      for (const double budget : budgets) lines.add(row.setting, {budget, y, y, y});
    } else {
      const Place place = place_of(row.setting, setting->attention);
      lines.add(place.line, {place.budget, y, 100 * row.interval.low, 100 * row.interval.high});
    }
  }
  return draw(plots, "Right answers", "budget (% of blocks, or tokens)", "%", 100);
}

std::string divergence_plots(const Summary& summary, const std::vector<Setting>& settings) {
  Plots by_length, by_budget, curves;
  for (const ForcedRow& row : summary.forced) {
    const Setting* setting = find(settings, row.setting);
    if (setting == nullptr || setting->is_dense()) continue;
    const Place place = place_of(row.setting, setting->attention);
    const double kl = row.mean_kl;
    by_length[row.task].add(row.setting, {static_cast<double>(row.length), kl, kl, kl});
    by_budget[text_name(row.task, row.length)].add(place.line, {place.budget, kl, kl, kl});
    for (const auto& point : row.curve) {
      curves[text_name(row.task, row.length)].add(row.setting,
                                                  {point.stale, point.kl, point.kl, point.kl});
    }
  }
  return draw(by_budget, "Mean KL divergence from dense", "budget (% of blocks, or tokens)", "nats",
              0) +
         draw(by_length, "Mean KL divergence from dense by depth", "tokens in the context", "nats",
              0) +
         draw(curves, "Mean KL divergence since the last dense pass", "tokens since", "nats", 0);
}

std::string recall_plots(const Summary& summary, const std::vector<RecallSetting>& recalls) {
  Plots plots;
  for (const RecallRow& row : summary.recall) {
    for (const RecallSetting& setting : recalls) {
      if (setting.name != row.setting) continue;
      const Place place = place_of(row.setting, setting.attention);
      const double y = 100 * row.recall;
      plots[text_name(row.task, row.length)].add(row.selector + " " + place.line,
                                                 {place.budget, y, y, y});
    }
  }
  return draw(plots, "Recall of attention mass", "budget (% of blocks, or tokens)", "%", 100);
}

std::string html_table(const TableText& table) {
  std::string out = "<h2>" + escape_xml(table.title) + "</h2>\n<table>\n<tr>";
  const auto class_of = [&](size_t i) {
    return table.columns[i].starts_with('>') ? " class=\"number\"" : "";
  };
  for (size_t i = 0; i < table.columns.size(); ++i) {
    const size_t skip = table.columns[i].starts_with('>') ? 1 : 0;
    out += fmt::format("<th{}>{}</th>", class_of(i), escape_xml(table.columns[i].substr(skip)));
  }
  out += "</tr>\n";
  for (const auto& row : table.rows) {
    out += "<tr>";
    for (size_t i = 0; i < row.size(); ++i) {
      out += fmt::format("<td{}>{}</td>", class_of(i), escape_xml(row[i]));
    }
    out += "</tr>\n";
  }
  return out + "</table>\n";
}

constexpr const char* kHead =
    "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n<head>\n"
    "<meta charset=\"utf-8\"/>\n<title>longhaul eval</title>\n<style>\n"
    "body { font: 14px sans-serif; margin: 2em; }\n"
    "table { border-collapse: collapse; }\n"
    "th, td { padding: 2px 10px; text-align: left; border-bottom: 1px solid #dddddd; }\n"
    ".number { text-align: right; }\nsvg { display: block; margin: 1em 0; }\n"
    "</style>\n</head>\n<body>\n<h1>longhaul eval</h1>\n";

}  // namespace

std::string html_report(const nlohmann::ordered_json& plan, const ModelInfo& model,
                        const Summary& summary, const std::vector<Setting>& settings,
                        const std::vector<RecallSetting>& recalls) {
  std::string out = kHead;
  out += fmt::format("<p>{}: {}, {:.1f} M parameters, trained for {} tokens.</p>\n",
                     escape_xml(model.name), escape_xml(model.architecture),
                     static_cast<double>(model.n_parameters) / 1e6, model.context_length);
  out += answer_plots(summary, settings) + divergence_plots(summary, settings) +
         recall_plots(summary, recalls);
  for (const TableText& table : tables(summary)) out += html_table(table);
  out += "<h2>What was asked for</h2>\n<pre>" + escape_xml(plan.dump(2)) + "</pre>\n";
  return out + "</body>\n</html>\n";
}

}  // namespace longhaul::eval
