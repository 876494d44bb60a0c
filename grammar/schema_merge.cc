#include "grammar/schema_merge.h"

#include <algorithm>

namespace longhaul::grammar {
namespace {

using Merge = Result<Json> (*)(const Json& a, const Json& b);

tl::unexpected<Error> not_joined() {
  return unsupported("two schemas that both must hold both have it, and it cannot be joined");
}

Result<Json> same_alone(const Json& a, const Json& b) {
  if (a == b) return a;
  return not_joined();
}

Result<Json> larger(const Json& a, const Json& b) {
  if (!a.is_number() || !b.is_number()) return not_joined();
  return std::max(a, b);
}

Result<Json> smaller(const Json& a, const Json& b) {
  if (!a.is_number() || !b.is_number()) return not_joined();
  return std::min(a, b);
}

Json listed(const Json& value) { return value.is_array() ? value : Json::array({value}); }

// "integer" is a "number".
Result<Json> common_types(const Json& a, const Json& b) {
  const Json list_a = listed(a), list_b = listed(b);
  const auto has = [](const Json& list, const Json& type) {
    return std::find(list.begin(), list.end(), type) != list.end();
  };
  Json common = Json::array();
  for (const Json& type : list_a) {
    if (has(list_b, type) || (type == "integer" && has(list_b, "number"))) common.push_back(type);
  }
  for (const Json& type : list_b) {
    if (type == "integer" && has(list_a, "number") && !has(common, type)) common.push_back(type);
  }
  return common;
}

Result<Json> common_values(const Json& a, const Json& b) {
  if (!a.is_array() || !b.is_array()) return not_joined();
  Json common = Json::array();
  for (const Json& value : a) {
    if (std::find(b.begin(), b.end(), value) != b.end()) common.push_back(value);
  }
  return common;
}

Result<Json> joined_lists(const Json& a, const Json& b) {
  if (!a.is_array() || !b.is_array()) return not_joined();
  Json all = a;
  for (const Json& value : b) {
    if (std::find(a.begin(), a.end(), value) == a.end()) all.push_back(value);
  }
  return all;
}

Result<Json> both(const Json& a, const Json& b) {
  if (a == b) return a;
  return Json{{"allOf", Json::array({a, b})}};
}

Result<Json> joined_properties(const Json& a, const Json& b) {
  if (!a.is_object() || !b.is_object()) return not_joined();
  Json all = a;
  for (const auto& [name, schema] : b.items()) {
    if (!all.contains(name)) {
      all[name] = schema;
    } else {
      LH_ASSIGN_OR_RETURN(all[name], both(a[name], schema));
    }
  }
  return all;
}

struct Keyword {
  std::string_view name;
  Merge merge;
};
constexpr Keyword kKeywords[] = {{"type", common_types},
                                 {"properties", joined_properties},
                                 {"required", joined_lists},
                                 {"allOf", joined_lists},
                                 {"items", both},
                                 {"enum", common_values},
                                 {"minimum", larger},
                                 {"exclusiveMinimum", larger},
                                 {"maximum", smaller},
                                 {"exclusiveMaximum", smaller},
                                 {"minLength", larger},
                                 {"maxLength", smaller},
                                 {"minItems", larger},
                                 {"maxItems", smaller}};

Result<Json> merge_values(std::string_view keyword, const Json& a, const Json& b) {
  for (const Keyword& known : kKeywords) {
    if (known.name == keyword) return known.merge(a, b);
  }
  return same_alone(a, b);
}

// What one schema says of members beyond its own must not reach those that the other alone knows.
Status check_additional(const Json& a, const Json& b) {
  if (!a.contains("additionalProperties") || a["additionalProperties"] == true) return {};
  const Json& own = a.contains("properties") ? a["properties"] : Json::object();
  if (!b.contains("properties") || !b["properties"].is_object() || !own.is_object()) return {};
  for (const auto& [name, unused] : b["properties"].items()) {
    if (own.contains(name)) continue;
    return unsupported(
        "additionalProperties: it is not joined with a schema that has the further "
        "property '{}'",
        name);
  }
  return {};
}

}  // namespace

bool is_annotation(std::string_view keyword) {
  static constexpr std::string_view kAnnotations[] = {
      "title",     "description",      "default",         "examples",    "example",    "$schema",
      "$id",       "$comment",         "$defs",           "definitions", "deprecated", "readOnly",
      "writeOnly", "contentMediaType", "contentEncoding", "$anchor"};
  return keyword.starts_with("x-") || std::find(std::begin(kAnnotations), std::end(kAnnotations),
                                                keyword) != std::end(kAnnotations);
}

Result<Json> merge_schemas(const Json& a, const Json& b, const std::string& path) {
  if (a == false || b == false) return Json(false);
  if (a == true) return b;
  if (b == true) return a;
  if (!a.is_object() || !b.is_object())
    return bad_input("{}: expected schemas, found {}", path, (a.is_object() ? b : a).dump());
  for (const Status& status : {check_additional(a, b), check_additional(b, a)}) {
    if (!status) return make_error(status.error().code, "{}/{}", path, status.error().message);
  }
  Json all = a;
  for (const auto& [keyword, value] : b.items()) {
    if (is_annotation(keyword)) continue;
    if (!all.contains(keyword)) {
      all[keyword] = value;
      continue;
    }
    auto merged = merge_values(keyword, all[keyword], value);
    if (!merged)
      return make_error(merged.error().code, "{}/{}: {}", path, keyword, merged.error().message);
    all[keyword] = std::move(*merged);
  }
  return all;
}

}  // namespace longhaul::grammar
