#include "apps/eval/value_plots.h"

#include <fmt/format.h>

#include <algorithm>

namespace longhaul::eval {
namespace {

std::string without_budget(const Value& value) {
  std::string name = value.name;
  const size_t at = name.find(value.budget + " ");
  if (!value.budget.empty() && at != std::string::npos) name.erase(at, value.budget.size() + 1);
  return name;
}

// Names without what all but dense's say alike, which is returned; a lone dense is just that.
std::string shorten(const std::vector<std::string*>& names) {
  std::vector<std::string*> others, dense;
  for (std::string* name : names) {
    (name->starts_with("dense") ? dense : others).push_back(name);
  }
  if (dense.size() == 1) *dense.front() = "dense";
  return take_common_words(others);
}

std::string titled(const Kind& kind, const std::string& text, const std::string& common) {
  return fmt::format("{}: {}{}{}", kind.title, text, common.empty() ? "" : ", ", common);
}

// Groups in the order of their first values.
template <class Key>
std::vector<std::pair<std::string, Values>> grouped(const Values& values, Key key) {
  std::vector<std::pair<std::string, Values>> groups;
  for (const Value& value : values) {
    const std::string name = key(value);
    auto found = std::find_if(groups.begin(), groups.end(),
                              [&](const auto& group) { return group.first == name; });
    if (found == groups.end()) found = groups.insert(groups.end(), {name, {}});
    found->second.push_back(value);
  }
  return groups;
}

template <class Number>
size_t count_different(const Values& values, Number number) {
  std::vector<double> numbers;
  for (const Value& value : values) numbers.push_back(number(value));
  std::sort(numbers.begin(), numbers.end());
  return static_cast<size_t>(std::unique(numbers.begin(), numbers.end()) - numbers.begin());
}

std::string over_budget(const Kind& kind, const std::string& text, const Values& dense,
                        const Values& values) {
  Lines lines;
  for (const Value& value : dense) {  // without a budget: across all
    for (const Value& other : values)
      lines.add(value.name, value.color, {other.budget_value, value.y, value.y, value.y});
  }
  for (const Value& value : values) {
    lines.add(without_budget(value), value.color,
              {value.budget_value, value.y, value.low, value.high});
  }
  return lines.draw(kind, text, values.front().budget_label);
}

std::string over_length(const Kind& kind, const std::string& task, const Values& values) {
  Lines lines;
  for (const Value& value : values) {
    lines.add(value.name, value.color,
              {static_cast<double>(value.length), value.y, value.low, value.high});
  }
  return lines.draw(kind, task, "tokens in the context");
}

std::string at_one_setting(const Kind& kind, const std::string& text, const Values& values) {
  DotPlot plot{"", kind.unit, {}, kind.top};
  for (const Value& value : values) {
    plot.rows.push_back({value.name, value.color, value.y, value.low, value.high});
  }
  std::vector<std::string*> names;
  for (auto& row : plot.rows) names.push_back(&row.name);
  plot.title = titled(kind, text, shorten(names));
  return svg(plot);
}

}  // namespace

std::string text_name(const Value& value) {
  return value.length == 0 ? value.task : fmt::format("{}, {} tokens", value.task, value.length);
}

void Lines::add(const std::string& name, const std::string& color, Series::Point point) {
  auto found = std::find_if(series_.begin(), series_.end(),
                            [&](const Series& series) { return series.name == name; });
  if (found == series_.end()) {
    const auto n_alike = std::count_if(series_.begin(), series_.end(),
                                       [&](const Series& series) { return series.color == color; });
    series_.push_back({name, color, static_cast<size_t>(n_alike)});
    found = series_.end() - 1;
  }
  found->points.push_back(point);
}

std::string Lines::draw(const Kind& kind, const std::string& text, const std::string& x_label) {
  std::vector<std::string*> names;
  for (Series& series : series_) {
    names.push_back(&series.name);
    std::stable_sort(series.points.begin(), series.points.end(),
                     [](const auto& a, const auto& b) { return a.x < b.x; });
  }
  const std::string common = shorten(names);
  return svg(LinePlot{titled(kind, text, common), x_label, kind.unit, series_, kind.top});
}

void draw(const Kind& kind, const Values& values, std::vector<std::string>& out) {
  for (const auto& [text, group] : grouped(values, text_name)) {
    Values dense, others;
    for (const Value& value : group) (value.budget.empty() ? dense : others).push_back(value);
    bool drawn = false;
    for (const auto& [label, alike] :
         grouped(others, [](const Value& value) { return value.budget_label; })) {
      if (count_different(alike, [](const Value& v) { return v.budget_value; }) < 2) continue;
      out.push_back(over_budget(kind, text, dense, alike));
      drawn = true;
    }
    const auto of_task = grouped(values, [](const Value& value) { return value.task; });
    const auto task =
        std::find_if(of_task.begin(), of_task.end(),
                     [&, &g = group](const auto& one) { return one.first == g.front().task; });
    const bool has_lengths = count_different(task->second, [](const Value& v) {
                               return static_cast<double>(v.length);
                             }) > 1;
    if (!drawn && !has_lengths) out.push_back(at_one_setting(kind, text, group));
  }
  for (const auto& [task, group] : grouped(values, [](const Value& value) { return value.task; })) {
    if (count_different(group, [](const Value& v) { return static_cast<double>(v.length); }) > 1) {
      out.push_back(over_length(kind, task, group));
    }
  }
}

}  // namespace longhaul::eval
