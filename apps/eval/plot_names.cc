#include <algorithm>
#include <sstream>

#include "apps/eval/plot.h"

namespace longhaul::eval {
namespace {

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

}  // namespace

std::string take_common_words(std::vector<std::string*> names) {
  if (names.size() < 2) return "";
  std::string common;
  for (const std::string& word : words_of(*names.front())) {
    const bool everywhere = std::all_of(names.begin(), names.end(), [&](const std::string* name) {
      const auto words = words_of(*name);
      return words.size() > 1 && std::find(words.begin(), words.end(), word) != words.end();
    });
    if (!everywhere) continue;
    common += (common.empty() ? "" : " ") + word;
    for (std::string* name : names) {
      std::string rest;
      bool taken = false;
      for (const std::string& other : words_of(*name)) {
        if (!taken && other == word) {
          taken = true;
        } else {
          rest += (rest.empty() ? "" : " ") + other;
        }
      }
      *name = rest;
    }
  }
  return common;
}

}  // namespace longhaul::eval
