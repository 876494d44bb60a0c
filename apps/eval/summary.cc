#include "apps/eval/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "apps/eval/budget_note.h"

namespace longhaul::eval {
namespace {

using Json = nlohmann::ordered_json;
using Records = std::vector<const Record*>;

double share(size_t part, size_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

// (task, length) in the order of the items.
std::vector<std::pair<std::string, size_t>> texts_of(const std::vector<Item>& items) {
  std::vector<std::pair<std::string, size_t>> texts;
  for (const Item& item : items) {
    const std::pair text{item.task, item.length};
    if (std::find(texts.begin(), texts.end(), text) == texts.end()) texts.push_back(text);
  }
  return texts;
}

using AnswersByItem = std::map<size_t, const AnswerRecord*>;

AnswerRow answer_row(const Records& records, const Setting& setting, const AnswersByItem& dense) {
  AnswerRow row;
  std::vector<size_t> lengths;
  size_t n_tokens = 0, n_limit = 0, n_drafted = 0, n_accepted = 0;
  double steps = 0;
  for (const Record* record : records) {
    const AnswerRecord& answer = *record->answer;
    row.n_right += answer.right ? 1 : 0;
    steps += share(answer.n_right_steps, answer.n_steps);
    n_tokens += answer.n_tokens;
    n_limit += answer.hit_limit ? 1 : 0;
    row.n_decoded += answer.n_decoded;
    row.decode_s += answer.decode_s;
    row.n_blocks_read += answer.blocks_read;
    row.n_blocks += answer.blocks_total;
    n_drafted += answer.n_drafted;
    n_accepted += answer.n_accepted;
    lengths.push_back(record->n_context + answer.n_tokens);
    if (const auto other = dense.find(record->item); other != dense.end()) {
      row.beside_dense = true;
      row.n_lost += other->second->right && !answer.right ? 1 : 0;
      row.n_won += !other->second->right && answer.right ? 1 : 0;
      row.n_same += other->second->text == answer.text ? 1 : 0;
    }
  }
  row.n = records.size();
  row.interval = wilson(row.n_right, row.n);
  row.right_steps = steps / static_cast<double>(row.n);
  row.mean_tokens = share(n_tokens, row.n);
  row.hit_limit = share(n_limit, row.n);
  row.tokens_per_s = row.decode_s > 0 ? static_cast<double>(row.n_decoded) / row.decode_s : 0;
  row.blocks_read = share(row.n_blocks_read, row.n_blocks);
  if (n_drafted > 0) row.accepted = share(n_accepted, n_drafted);
  row.note = budget_note(setting, lengths, row.n_blocks > 0 && row.n_blocks_read == row.n_blocks);
  return row;
}

// Single tokens up to 16, then ranges that double.
size_t curve_bin(size_t stale) {
  constexpr size_t kSingles = 16;
  if (stale < kSingles) return stale;
  return kSingles + static_cast<size_t>(std::log2(static_cast<double>(stale) / kSingles) * 2);
}

ForcedRow forced_row(const Records& records, const Setting& setting) {
  ForcedRow row;
  std::vector<size_t> lengths;
  std::vector<double> kl, item_kl, nll, key_errors, value_errors;
  size_t n_same = 0;
  std::map<size_t, ForcedRow::Point> bins;
  for (const Record* record : records) {
    const ForcedRecord& forced = *record->forced;
    lengths.push_back(record->n_context + forced.kl.size());
    kl.insert(kl.end(), forced.kl.begin(), forced.kl.end());
    item_kl.push_back(mean(forced.kl));
    nll.insert(nll.end(), forced.nll.begin(), forced.nll.end());
    if (forced.key_error >= 0) {
      key_errors.push_back(forced.key_error);
      value_errors.push_back(forced.value_error);
    }
    for (const int same : forced.same_top) n_same += same != 0 ? 1 : 0;
    for (size_t i = 0; i < forced.kl.size(); ++i) {
      auto& bin = bins[curve_bin(forced.stale[i])];
      bin.stale += static_cast<double>(forced.stale[i]);
      bin.kl += forced.kl[i];
      ++bin.n;
    }
  }
  row.n_tokens = kl.size();
  row.mean_kl = mean(kl);
  row.kl_interval = mean_interval(item_kl);
  row.perplexity = std::exp(mean(nll));
  if (!key_errors.empty()) {
    row.key_error = mean(key_errors);
    row.value_error = mean(value_errors);
  }
  row.same_top = share(n_same, kl.size());
  row.note = budget_note(setting, lengths, reads_all(setting, lengths));
  row.high_kl = quantile(std::move(kl), 0.999);
  for (auto& [index, bin] : bins) {
    bin.stale /= static_cast<double>(bin.n);
    bin.kl /= static_cast<double>(bin.n);
    row.curve.push_back(bin);
  }
  return row;
}

template <class Row>
Row named(Row row, const Record& record) {
  row.task = record.task;
  row.setting = record.setting;
  row.length = record.length;
  return row;
}

void add_recall(const Records& records, std::vector<RecallRow>& rows) {
  const auto& selectors = records.front()->recall->selectors;
  for (size_t s = 0; s < selectors.size(); ++s) {
    RecallRow row = named(RecallRow{}, *records.front());
    row.selector = selectors[s];
    double sum = 0;
    for (const Record* record : records) {
      row.n_tokens += record->recall->n_tokens;
      sum += record->recall->recall[s] * static_cast<double>(record->recall->n_tokens);
    }
    row.recall = sum / static_cast<double>(std::max<size_t>(1, row.n_tokens));
    rows.push_back(std::move(row));
  }
}

void add_depths(const Records& records, std::vector<DepthCell>& cells) {
  std::map<double, DepthCell> by_depth;
  for (const Record* record : records) {
    if (record->depth < 0) continue;
    DepthCell& cell = by_depth[record->depth];
    cell.n_right += record->answer->right ? 1 : 0;
    ++cell.n;
  }
  for (auto& [depth, cell] : by_depth) {
    cell.depth = depth;
    cells.push_back(named(cell, *records.front()));
  }
}

}  // namespace

Summary summarize(const std::vector<Record>& records, const std::vector<Item>& items,
                  const std::vector<Setting>& settings, const std::vector<RecallSetting>& recalls) {
  std::map<std::string, Records> groups;  // key without the item
  const auto group_of = [&](Measure measure, const std::string& setting,
                            const std::pair<std::string, size_t>& text) -> Records& {
    return groups[fmt::format("{}|{}|{}|{}", to_string(measure), setting, text.first, text.second)];
  };
  for (const Record& record : records) {
    group_of(record.measure, record.setting, {record.task, record.length}).push_back(&record);
  }
  // Sums in the order of the items, whatever the order of the file.
  for (auto& [key, group] : groups) {
    std::sort(group.begin(), group.end(),
              [](const Record* a, const Record* b) { return a->item < b->item; });
  }
  Summary summary;
  for (const auto& text : texts_of(items)) {
    AnswersByItem dense;  // of the first dense setting
    for (const Setting& setting : settings) {
      if (!setting.is_dense() || !dense.empty()) continue;
      for (const Record* record : group_of(Measure::kAnswers, setting.name, text)) {
        dense[record->item] = &*record->answer;
      }
    }
    for (const Setting& setting : settings) {
      const Records& answers = group_of(Measure::kAnswers, setting.name, text);
      if (!answers.empty()) {
        summary.answers.push_back(named(answer_row(answers, setting, dense), *answers.front()));
        add_depths(answers, summary.depths);
      }
      const Records& forced = group_of(Measure::kForced, setting.name, text);
      if (!forced.empty()) {
        summary.forced.push_back(named(forced_row(forced, setting), *forced.front()));
      }
    }
    for (const RecallSetting& recall : recalls) {
      const Records& group = group_of(Measure::kRecall, recall.name, text);
      if (!group.empty()) add_recall(group, summary.recall);
    }
  }
  return summary;
}

Json to_json(const Summary& summary) {
  Json json = {{"answers", Json::array()},
               {"depths", Json::array()},
               {"forced", Json::array()},
               {"recall", Json::array()}};
  for (const AnswerRow& row : summary.answers) {
    json["answers"].push_back({{"task", row.task},
                               {"length", row.length},
                               {"setting", row.setting},
                               {"n", row.n},
                               {"right", row.n_right},
                               {"accuracy", share(row.n_right, row.n)},
                               {"low", row.interval.low},
                               {"high", row.interval.high},
                               {"right_steps", row.right_steps},
                               {"mean_tokens", row.mean_tokens},
                               {"hit_limit", row.hit_limit},
                               {"tokens_per_s", row.tokens_per_s},
                               {"blocks_read", row.blocks_read}});
    Json& last = json["answers"].back();
    if (row.accepted >= 0) last["accepted"] = row.accepted;
    if (row.beside_dense) {
      last["lost"] = row.n_lost;
      last["won"] = row.n_won;
      last["same_text"] = row.n_same;
    }
    if (!row.note.empty()) last["note"] = row.note;
  }
  for (const DepthCell& cell : summary.depths) {
    json["depths"].push_back({{"task", cell.task},
                              {"length", cell.length},
                              {"setting", cell.setting},
                              {"depth", cell.depth},
                              {"n", cell.n},
                              {"right", cell.n_right}});
  }
  for (const ForcedRow& row : summary.forced) {
    Json curve = Json::array();
    for (const auto& point : row.curve) curve.push_back({point.stale, point.kl, point.n});
    json["forced"].push_back({{"task", row.task},
                              {"length", row.length},
                              {"setting", row.setting},
                              {"tokens", row.n_tokens},
                              {"mean_kl", row.mean_kl},
                              {"mean_kl_low", row.kl_interval.low},
                              {"mean_kl_high", row.kl_interval.high},
                              {"kl_99.9", row.high_kl},
                              {"same_top", row.same_top},
                              {"perplexity", row.perplexity},
                              {"curve", std::move(curve)}});
    if (!row.note.empty()) json["forced"].back()["note"] = row.note;
    if (row.key_error >= 0) {
      json["forced"].back()["key_error"] = row.key_error;
      json["forced"].back()["value_error"] = row.value_error;
    }
  }
  for (const RecallRow& row : summary.recall) {
    json["recall"].push_back({{"task", row.task},
                              {"length", row.length},
                              {"setting", row.setting},
                              {"selector", row.selector},
                              {"tokens", row.n_tokens},
                              {"recall", row.recall}});
  }
  return json;
}

}  // namespace longhaul::eval
