#include "apps/eval/wrong.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/utf8.h"

namespace longhaul::eval {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kQuestionBytes = 600;  // of its end that are shown

// The last bytes of a text, whole characters and from the beginning of a word where there is one.
std::string end_of(const std::string& text, size_t n_bytes) {
  if (text.size() <= n_bytes) return text;
  size_t first = text.size() - n_bytes;
  while (first < text.size() && continues_character(text[first])) ++first;
  const size_t blank = text.find_first_of(" \n", first);
  if (blank != std::string::npos && blank < first + n_bytes / 4) first = blank + 1;
  return "… " + text.substr(first);
}

void add_wrong(const Record& record, WrongItem& item) {
  const AnswerRecord& answer = *record.answer;
  for (WrongAnswer& other : item.wrong) {
    if (other.text != answer.text) continue;
    other.settings.push_back(record.setting);
    return;
  }
  item.wrong.push_back({{record.setting}, answer.text, answer.hit_limit});
}

std::string indented(const std::string& text) {
  std::string out = "    ";
  for (const char c : text) {
    out += c;
    if (c == '\n') out += "    ";
  }
  return out + "\n";
}

std::string plain_text(const WrongItem& item) {
  std::string out = fmt::format("== {}{}\n", name_of(item), item.lost ? ": dense is right" : "");
  out += "  question\n" + indented(item.question) + "  expected\n" + indented(item.expected);
  for (const WrongAnswer& answer : item.wrong) {
    out += fmt::format("  got from {}{}\n", fmt::join(answer.settings, ", "),
                       answer.hit_limit ? " (cut off at its limit)" : "");
    out += indented(answer.text);
  }
  if (!item.right.empty()) out += fmt::format("  right: {}\n", fmt::join(item.right, ", "));
  return out;
}

}  // namespace

std::string name_of(const WrongItem& item) {
  const std::string length = item.length == 0 ? "" : fmt::format(", {} tokens", item.length);
  return fmt::format("{}{}, item {}", item.task, length, item.index);
}

std::vector<WrongItem> wrong_items(const std::vector<Record>& records,
                                   const std::vector<Item>& items,
                                   const std::vector<Setting>& settings) {
  std::map<std::string, const Record*> answers;
  for (const Record& record : records) {
    if (record.answer) answers[record.key()] = &record;
  }
  std::vector<WrongItem> all;
  for (const Item& item : items) {
    if (item.score == nullptr) continue;
    WrongItem wrong{item.task, item.length, item.index, false, {}, item.answer, {}, {}};
    bool dense_right = false, dense_seen = false;
    for (const Setting& setting : settings) {
      const auto found = answers.find(
          record_key(Measure::kAnswers, setting.name, item.task, item.length, item.index));
      if (found == answers.end()) continue;
      const Record& record = *found->second;
      if (setting.is_dense() && !dense_seen) dense_right = record.answer->right;
      dense_seen |= setting.is_dense();
      if (record.answer->right) {
        wrong.right.push_back(setting.name);
      } else {
        add_wrong(record, wrong);
      }
    }
    if (wrong.wrong.empty()) continue;
    wrong.lost = dense_right;
    wrong.question = end_of(item.question, kQuestionBytes);
    all.push_back(std::move(wrong));
  }
  std::stable_partition(all.begin(), all.end(), [](const WrongItem& item) { return item.lost; });
  return all;
}

std::string plain_text(const std::vector<WrongItem>& wrong, size_t most) {
  const auto n_lost =
      std::count_if(wrong.begin(), wrong.end(), [](const WrongItem& item) { return item.lost; });
  std::string out =
      fmt::format("Items that a setting answered wrongly: {}, of which dense has {} right",
                  wrong.size(), n_lost);
  if (wrong.size() > most) out += fmt::format("; the first {}", most);
  out += "\n";
  for (size_t i = 0; i < std::min(most, wrong.size()); ++i) out += "\n" + plain_text(wrong[i]);
  return out;
}

Json to_json(const std::vector<WrongItem>& wrong, size_t most) {
  Json json = Json::array();
  for (size_t i = 0; i < std::min(most, wrong.size()); ++i) {
    const WrongItem& item = wrong[i];
    Json answers = Json::array();
    for (const WrongAnswer& answer : item.wrong) {
      answers.push_back(
          {{"settings", answer.settings}, {"text", answer.text}, {"hit_limit", answer.hit_limit}});
    }
    json.push_back({{"task", item.task},
                    {"length", item.length},
                    {"item", item.index},
                    {"lost", item.lost},
                    {"question", item.question},
                    {"expected", item.expected},
                    {"right", item.right},
                    {"wrong", std::move(answers)}});
  }
  return json;
}

}  // namespace longhaul::eval
