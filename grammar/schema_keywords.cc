// What is known of the keywords of schemas.
#include <algorithm>

#include "grammar/limits.h"
#include "grammar/schema_compiler.h"
#include "grammar/schema_merge.h"

namespace longhaul::grammar {
namespace {

struct Keyword {
  std::string_view name;
  TypeSet types;  // 0: it does not speak of some types alone
};
constexpr Keyword kKeywords[] = {
    {"$ref", 0},
    {"allOf", 0},
    {"anyOf", 0},
    {"oneOf", 0},
    {"enum", 0},
    {"const", 0},
    {"type", 0},
    {"minLength", kString},
    {"maxLength", kString},
    {"pattern", kString},
    {"format", kString},
    {"minimum", kNumber},
    {"maximum", kNumber},
    {"exclusiveMinimum", kNumber},
    {"exclusiveMaximum", kNumber},
    {"multipleOf", kNumber},
    {"items", kArray},
    {"prefixItems", kArray},
    {"minItems", kArray},
    {"maxItems", kArray},
    {"uniqueItems", kArray},
    {"properties", kObject},
    {"required", kObject},
    {"additionalProperties", kObject},
    {"minProperties", kObject},
    {"nullable", 0},
};

const Keyword* find_keyword(std::string_view name) {
  const auto found = std::find_if(std::begin(kKeywords), std::end(kKeywords),
                                  [&](const Keyword& keyword) { return keyword.name == name; });
  return found == std::end(kKeywords) ? nullptr : found;
}

// Keywords that are supported where they ask for nothing.
bool asks_for_nothing(std::string_view keyword, const Json& value) {
  if (keyword == "uniqueItems" || keyword == "nullable") return value == false;
  if (keyword == "multipleOf") return value == 1;
  return true;
}

}  // namespace

std::string quoted(const Json& value) {
  constexpr size_t kMostBytes = 60;
  if (value.is_structured() && value.size() > kMostBytes)
    return fmt::format("{} of {} values", value.is_array() ? "a list" : "an object", value.size());
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > kMostBytes) text = text.substr(0, kMostBytes - 3) + "...";
  return text;
}

TypeSet types_of_keywords(const Json& schema) {
  TypeSet types = 0;
  for (const auto& [name, unused] : schema.items()) {
    const Keyword* keyword = find_keyword(name);
    if (keyword != nullptr) types |= keyword->types;
  }
  constexpr TypeSet kAll = kNull | kBoolean | kNumber | kString | kArray | kObject;
  return types != 0 ? types : kAll;
}

Status check_keywords(const Json& schema, const std::string& path) {
  for (const auto& [name, value] : schema.items()) {
    if (is_annotation(name)) continue;
    if (find_keyword(name) == nullptr)
      return unsupported("{}/{}: this keyword is not supported", path, name);
    if (!asks_for_nothing(name, value))
      return unsupported("{}/{}: the value {} is not supported", path, name, quoted(value));
  }
  return {};
}

Result<uint32_t> count_of(const Json& schema, std::string_view keyword, uint32_t fallback,
                          const std::string& path) {
  const auto found = schema.find(keyword);
  if (found == schema.end()) return fallback;
  const bool is_count =
      found->is_number_unsigned() || (found->is_number_float() && found->get<double>() >= 0 &&
                                      found->get<double>() <= kMostRepeats);
  if (!is_count || *found > kMostRepeats || found->get<double>() != found->get<uint32_t>())
    return bad_input("{}/{}: expected a whole number up to {}, found {}", path, keyword,
                     kMostRepeats, quoted(*found));
  return found->get<uint32_t>();
}

}  // namespace longhaul::grammar
