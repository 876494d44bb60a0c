// What one setting made of one item: a line of the results file.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "apps/eval/plan.h"

namespace longhaul::eval {

struct AnswerRecord {
  bool right = false;
  size_t n_steps = 0, n_right_steps = 0;
  size_t n_tokens = 0;  // generated
  bool hit_limit = false;
  double decode_s = 0;
  size_t n_decoded = 0;  // tokens whose time is in decode_s
  size_t blocks_read = 0, blocks_total = 0;
  size_t n_drafted = 0, n_accepted = 0;
  std::string text;
};

// One value per scored token.
struct ForcedRecord {
  std::vector<double> kl;
  std::vector<double> nll;
  std::vector<int> same_top;  // 0 or 1
  std::vector<size_t> stale;  // tokens since the last dense pass
  // Of what the mode left in the cache for good: relative errors of keys and values; below 0: none.
  double key_error = -1, value_error = -1;
};

struct RecallRecord {
  std::vector<std::string> selectors;
  std::vector<double> recall;  // per selector, mean over the item's tokens
  size_t n_tokens = 0;
};

struct Record {
  Measure measure = Measure::kAnswers;
  std::string setting;
  std::string task;
  size_t length = 0;
  size_t item = 0;
  double depth = -1;
  size_t n_context = 0;
  std::optional<AnswerRecord> answer;
  std::optional<ForcedRecord> forced;
  std::optional<RecallRecord> recall;

  // What the record is of: two runs of a plan give records of the same names.
  std::string key() const;
};

std::string record_key(Measure measure, const std::string& setting, const std::string& task,
                       size_t length, size_t item);

nlohmann::ordered_json to_json(const Record& record);
// Error: what is missing or of another kind.
Result<Record> parse_record(std::string_view line);

}  // namespace longhaul::eval
