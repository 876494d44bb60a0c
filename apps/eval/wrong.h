// The items that some setting answered wrongly, for a person to read.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "apps/eval/item.h"
#include "apps/eval/record.h"
#include "apps/eval/settings.h"

namespace longhaul::eval {

// A text that one or more settings gave.
struct WrongAnswer {
  std::vector<std::string> settings;
  std::string text;
  bool hit_limit = false;
};

struct WrongItem {
  std::string task;
  size_t length = 0, index = 0;
  bool lost = false;     // the first dense setting has it right
  std::string question;  // its end
  std::string expected;
  std::vector<std::string> right;  // settings
  std::vector<WrongAnswer> wrong;  // at least one
};

// Those that dense has right come first, then the order of the items; settings in theirs.
std::vector<WrongItem> wrong_items(const std::vector<Record>& records,
                                   const std::vector<Item>& items,
                                   const std::vector<Setting>& settings);

// The first `most` of them for a terminal, and how many there are.
std::string plain_text(const std::vector<WrongItem>& wrong, size_t most);
nlohmann::ordered_json to_json(const std::vector<WrongItem>& wrong, size_t most);

// "path, 1024 tokens, item 3": a name for readers.
std::string name_of(const WrongItem& item);

}  // namespace longhaul::eval
