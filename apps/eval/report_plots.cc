#include "apps/eval/report_plots.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "apps/eval/value_plots.h"

namespace longhaul::eval {
namespace {

void place_budget(const AttentionOptions& attention, Value& value) {
  value.budget = budget_name(attention);
  if (attention.gate_threshold > 0) {
    value.budget_value = attention.gate_threshold;
    value.budget_label = "threshold";
  } else if (attention.token_budget > 0) {
    value.budget_value = static_cast<double>(attention.token_budget);
    value.budget_label = "tokens selected";
  } else {
    value.budget_value = 100 * attention.sparse_ratio;
    value.budget_label = "% of the blocks selected";
  }
}

const Setting* find(const std::vector<Setting>& settings, const std::string& name) {
  const auto found = std::find_if(settings.begin(), settings.end(),
                                  [&](const Setting& setting) { return setting.name == name; });
  return found == settings.end() ? nullptr : &*found;
}

template <class Row>
Value value_of(const Row& row, const Setting& setting) {
  Value value;
  value.task = row.task;
  value.length = row.length;
  value.name = row.setting;
  value.color = color_of(setting.attention.mode);
  if (!setting.is_dense()) place_budget(setting.attention, value);
  return value;
}

void draw_answers(const Summary& summary, const std::vector<Setting>& settings,
                  std::vector<std::string>& out) {
  Values values;
  for (const AnswerRow& row : summary.answers) {
    Value value = value_of(row, *find(settings, row.setting));
    value.y = 100 * static_cast<double>(row.n_right) / static_cast<double>(row.n);
    value.low = 100 * row.interval.low;
    value.high = 100 * row.interval.high;
    values.push_back(std::move(value));
  }
  draw({"Right answers", "%", 100}, values, out);
}

void draw_divergence(const Summary& summary, const std::vector<Setting>& settings,
                     std::vector<std::string>& out) {
  Values values;
  std::map<std::string, Lines> curves;
  for (const ForcedRow& row : summary.forced) {
    const Setting& setting = *find(settings, row.setting);
    if (setting.is_dense()) continue;
    Value value = value_of(row, setting);
    value.y = row.mean_kl;
    value.low = std::max(0.0, row.kl_interval.low);
    value.high = row.kl_interval.high;
    if (row.curve.size() > 1) {
      for (const auto& point : row.curve) {
        curves[text_name(value)].add(value.name, value.color,
                                     {point.stale, point.kl, point.kl, point.kl});
      }
    }
    values.push_back(std::move(value));
  }
  draw({"Mean KL divergence from dense", "nats"}, values, out);
  for (auto& [text, lines] : curves) {
    out.push_back(
        lines.draw({"Divergence since the last dense pass", "nats"}, text, "tokens since"));
  }
}

void draw_recall(const Summary& summary, const std::vector<RecallSetting>& recalls,
                 std::vector<std::string>& out) {
  Values values;
  for (const RecallRow& row : summary.recall) {
    const auto setting =
        std::find_if(recalls.begin(), recalls.end(),
                     [&](const RecallSetting& recall) { return recall.name == row.setting; });
    if (setting == recalls.end()) continue;
    Value value;
    value.task = row.task;
    value.length = row.length;
    value.name = row.selector + " " + row.setting;
    value.color = color_of(row.selector);
    place_budget(setting->attention, value);
    value.y = value.low = value.high = 100 * row.recall;
    values.push_back(std::move(value));
  }
  draw({"Recall of attention mass", "%", 100}, values, out);
}

}  // namespace

std::string color_of(AttentionMode mode) { return std::string(to_string(mode)); }
std::string color_of(std::string_view selector) { return fmt::format("by-{}", selector); }

std::vector<std::string> plots(const Summary& summary, const std::vector<Setting>& settings,
                               const std::vector<RecallSetting>& recalls) {
  std::vector<std::string> all;
  draw_answers(summary, settings, all);
  draw_divergence(summary, settings, all);
  draw_recall(summary, recalls, all);
  return all;
}

}  // namespace longhaul::eval
