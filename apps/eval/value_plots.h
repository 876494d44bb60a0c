// Values of settings as plots: over the budget, over the length, or as rows where there is one of
// each.
#pragma once

#include <string>
#include <vector>

#include "apps/eval/plot.h"

namespace longhaul::eval {

// A value of a setting at one task and length.
struct Value {
  std::string task;
  size_t length = 0;
  std::string name;    // of the setting, with its budget
  std::string budget;  // as the name has it; empty: dense
  std::string budget_label;
  double budget_value = 0;
  std::string color;
  double y = 0, low = 0, high = 0;
};
using Values = std::vector<Value>;

// "path, 1024 tokens".
std::string text_name(const Value& value);

struct Kind {
  const char* title;
  const char* unit;
  double top = 0;  // of its axis; 0: the highest value
};

// The lines of one plot, by name.
class Lines {
 public:
  void add(const std::string& name, const std::string& color, Series::Point point);
  // The plot, with what all names say alike in its title; x in any order.
  std::string draw(const Kind& kind, const std::string& text, const std::string& x_label);

 private:
  std::vector<Series> series_;
};

// Adds plots over the budgets of each text and the lengths of each task where there are several;
// other texts have a row for each value.
void draw(const Kind& kind, const Values& values, std::vector<std::string>& out);

}  // namespace longhaul::eval
