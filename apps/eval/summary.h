// What the records say together: a line per setting, task and length, and the curves of the plots.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "apps/eval/item.h"
#include "apps/eval/record.h"
#include "apps/eval/settings.h"
#include "apps/eval/statistics.h"

namespace longhaul::eval {

struct AnswerRow {
  std::string task, setting;
  size_t length = 0;
  size_t n = 0, n_right = 0;
  Interval interval;             // of the share of right answers
  double right_steps = 0;        // share of steps before the first wrong one
  double mean_tokens = 0;        // of an answer
  double hit_limit = 0;          // share
  double tokens_per_s = 0;       // all tokens over all seconds
  double blocks_read = 0;        // share of what dense steps read
  double accepted = -1;          // share of drafts; below 0: none were made
  size_t n_lost = 0, n_won = 0;  // items that dense has right and this not, and the other way round
  double decode_s = 0;           // the sums behind them
  size_t n_decoded = 0, n_blocks_read = 0, n_blocks = 0;
  size_t n_same = 0;          // texts that are dense's
  bool beside_dense = false;  // dense ran too
  std::string note;           // about its budget; empty: it was what its name says
};

struct ForcedRow {
  std::string task, setting;
  size_t length = 0;
  size_t n_tokens = 0;
  double mean_kl = 0, high_kl = 0;          // nats; the latter the 99.9% quantile
  Interval kl_interval;                     // of the items' means
  double same_top = 0;                      // share
  double perplexity = 0;                    // exp of the mean negative log likelihood
  double key_error = -1, value_error = -1;  // of the cache, relative, items' mean; below 0: none
  struct Point {
    double stale = 0, kl = 0;
    size_t n = 0;
  };
  std::vector<Point> curve;  // mean KL by tokens since the last dense pass
  std::string note;          // as AnswerRow's
};

struct RecallRow {
  std::string task, setting, selector;
  size_t length = 0;
  size_t n_tokens = 0;
  double recall = 0;  // mean share of attention mass
};

struct DepthCell {
  std::string task, setting;
  size_t length = 0;
  double depth = 0;
  size_t n = 0, n_right = 0;
};

struct Summary {
  std::vector<AnswerRow> answers;
  std::vector<ForcedRow> forced;
  std::vector<RecallRow> recall;
  std::vector<DepthCell> depths;
};

// Rows in the order of tasks, lengths and settings; records in any order give the same summary.
Summary summarize(const std::vector<Record>& records, const std::vector<Item>& items,
                  const std::vector<Setting>& settings, const std::vector<RecallSetting>& recalls);

nlohmann::ordered_json to_json(const Summary& summary);

}  // namespace longhaul::eval
