#include "template/golden_cases.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "template/json.h"
#include "template/template.h"

namespace longhaul::jinja {
namespace {

std::string text_at(const Dict& dict, std::string_view key) {
  const Value* found = dict.find(key);
  return found != nullptr && found->as_text() != nullptr ? std::string(found->as_text()->bytes())
                                                         : std::string();
}

std::tm oracle_time() {
  std::tm now = {};
  now.tm_year = 126, now.tm_mon = 6, now.tm_mday = 4;  // 4 July 2026
  now.tm_hour = 9, now.tm_min = 5, now.tm_sec = 7;
  now.tm_wday = 6, now.tm_yday = 184;
  return now;
}

}  // namespace

// A file is a list of cases, or an object of `cases` and the `variables` of those that have none.
std::vector<GoldenCase> read_golden_cases(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  const auto read = read_json(bytes);
  EXPECT_TRUE(read) << path << ": " << read.error().message;
  if (!read) return {};
  const Dict* whole = read->as_dict();
  const Value* inside = whole == nullptr ? nullptr : whole->find("cases");
  const Value* shared = whole == nullptr ? nullptr : whole->find("variables");
  const List* list = inside == nullptr ? read->as_list() : inside->as_list();
  EXPECT_NE(list, nullptr) << path << ": expected a list of cases";
  std::vector<GoldenCase> cases;
  for (size_t i = 0; list != nullptr && i < list->items.size(); ++i) {
    const Dict* dict = list->items[i].as_dict();
    const Value* variables = dict == nullptr ? nullptr : dict->find("variables");
    if (variables == nullptr) variables = shared;
    if (dict == nullptr || variables == nullptr) {
      ADD_FAILURE() << path << ": expected an object with variables, found none at " << i;
      continue;
    }
    GoldenCase one{text_at(*dict, "name"), text_at(*dict, "template"), *variables, std::nullopt,
                   text_at(*dict, "error")};
    if (one.name.empty()) one.name = one.source;
    if (dict->find("output") != nullptr) one.output = text_at(*dict, "output");
    cases.push_back(std::move(one));
  }
  return cases;
}

Result<Text> render_case(const GoldenCase& one) {
  LH_ASSIGN_OR_RETURN(const Template parsed, Template::parse(one.source));
  Template::Options options;
  options.now = oracle_time();
  return parsed.render(one.variables, options);
}

}  // namespace longhaul::jinja
