#include "grammar/schema.h"

#include <algorithm>

#include "grammar/limits.h"
#include "grammar/schema_compiler.h"
#include "grammar/schema_merge.h"

namespace longhaul::grammar {
namespace {

constexpr size_t kMostMerges = 2'000;

struct TypeName {
  std::string_view name;
  SchemaType type;
};
constexpr TypeName kTypes[] = {{"null", kNull},     {"boolean", kBoolean}, {"integer", kInteger},
                               {"number", kNumber}, {"string", kString},   {"array", kArray},
                               {"object", kObject}};

Json without(Json schema, std::string_view keyword) {
  schema.erase(std::string(keyword));
  return schema;
}

bool says_nothing(const Json& schema) {
  return std::all_of(schema.items().begin(), schema.items().end(),
                     [](const auto& item) { return is_annotation(item.key()); });
}

Result<TypeSet> type_set(const Json& schema, const std::string& path) {
  const auto found = schema.find("type");
  if (found == schema.end()) return types_of_keywords(schema);
  const Json list = found->is_array() ? *found : Json::array({*found});
  TypeSet types = 0;
  for (const Json& name : list) {
    const auto* type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                    [&](const TypeName& known) { return name == known.name; });
    if (type == std::end(kTypes))
      return bad_input("{}/type: expected a type or a list of types, found {}", path, quoted(name));
    types |= type->type;
  }
  if ((types & kNumber) != 0) types &= static_cast<TypeSet>(~kInteger);
  return types;
}

bool has_type(const Json& value, TypeSet types) {
  switch (value.type()) {
    case Json::value_t::null:
      return (types & kNull) != 0;
    case Json::value_t::boolean:
      return (types & kBoolean) != 0;
    case Json::value_t::string:
      return (types & kString) != 0;
    case Json::value_t::array:
      return (types & kArray) != 0;
    case Json::value_t::object:
      return (types & kObject) != 0;
    case Json::value_t::number_float:
      return (types & kNumber) != 0;
    default:
      return (types & (kNumber | kInteger)) != 0;
  }
}

Result<Json> parse(std::string_view text) {
  if (text.size() > kMostSourceBytes)
    return bad_input("expected a schema of at most {} bytes, found {}", kMostSourceBytes,
                     text.size());
  bool is_too_deep = false;
  const auto check_depth = [&](int depth, Json::parse_event_t, Json&) {
    is_too_deep |= depth > static_cast<int>(kMostNesting);
    return !is_too_deep;
  };
  Json json = Json::parse(text, check_depth, /*allow_exceptions=*/false);
  if (is_too_deep)
    return bad_input("expected a schema of at most {} levels, found more", kMostNesting);
  if (json.is_discarded()) return bad_input("expected a schema in JSON, found no JSON");
  return json;
}

}  // namespace

Result<RuleId> add_schema(std::string_view schema, JsonSpace space, Syntax& syntax) {
  LH_ASSIGN_OR_RETURN(const Json json, parse(schema));
  return SchemaCompiler(json, space, syntax).compile();
}

Result<RuleId> SchemaCompiler::compile() {
  const RuleId root = rule_of("#", root_);
  for (size_t i = 0; i < pending_.size(); ++i) {
    const Pending next = pending_[i];
    LH_ASSIGN_OR_RETURN(const ExprId body, value(*next.schema, next.path));
    syntax_.define(next.rule, body);
  }
  return root;
}

RuleId SchemaCompiler::rule_of(const std::string& pointer, const Json& schema) {
  const auto [known, is_new] = rules_.try_emplace(pointer, 0);
  if (is_new) {
    known->second = syntax_.add_rule(pointer);
    pending_.push_back({known->second, &schema, pointer});
  }
  return known->second;
}

Result<ExprId> SchemaCompiler::value(const Json& schema, const std::string& path) {
  if (schema == true) return parts_.value();
  if (schema == false) return syntax_.nothing();
  if (!schema.is_object())
    return bad_input("{}: expected a schema, found {}", path, quoted(schema));
  LH_RETURN_IF_ERROR(syntax_.check_size());
  if (depth_ >= kMostNesting)
    return bad_input("{}: expected at most {} schemas within schemas, found more", path,
                     kMostNesting);
  ++depth_;
  auto result = value_of_object(schema, path);
  --depth_;
  return result;
}

Result<ExprId> SchemaCompiler::value_of_object(const Json& schema, const std::string& path) {
  LH_RETURN_IF_ERROR(check_keywords(schema, path));
  if (schema.contains("$ref")) return reference(schema, path);
  if (schema.contains("allOf")) return all_of(schema, path);
  // Of which exactly one must hold: as where at least one must (docs/constrained.md).
  for (const char* keyword : {"anyOf", "oneOf"}) {
    if (schema.contains(keyword)) return any_of(schema, keyword, path);
  }
  if (schema.contains("enum") || schema.contains("const")) return listed(schema, path);
  return typed(schema, path);
}

// "#/$defs/name"
Result<const Json*> SchemaCompiler::find(const Json& reference, const std::string& path) const {
  if (!reference.is_string())
    return bad_input("{}/$ref: expected a text, found {}", path, quoted(reference));
  const auto& pointer = reference.get_ref<const std::string&>();
  if (pointer == "#") return &root_;
  if (!pointer.starts_with("#/"))
    return unsupported("{}/$ref: expected a place in this schema, \"#/...\", found {}", path,
                       quoted(reference));
  const Json* at = &root_;
  for (size_t begin = 2; begin <= pointer.size();) {
    const size_t end = std::min(pointer.find('/', begin), pointer.size());
    std::string key = pointer.substr(begin, end - begin);
    for (size_t i = key.find('~'); i != std::string::npos; i = key.find('~', i + 1))
      key.replace(i, 2, key.compare(i, 2, "~1") == 0 ? "/" : "~");
    begin = end + 1;
    const bool is_index =
        at->is_array() && !key.empty() && key.size() < 7 &&
        std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (at->is_object() && at->contains(key)) {
      at = &(*at)[key];
    } else if (is_index && std::stoul(key) < at->size()) {
      at = &(*at)[std::stoul(key)];
    } else {
      return bad_input("{}/$ref: expected a place in this schema, found {}", path,
                       quoted(reference));
    }
  }
  return at;
}

Result<ExprId> SchemaCompiler::reference(const Json& schema, const std::string& path) {
  LH_ASSIGN_OR_RETURN(const Json* target, find(schema["$ref"], path));
  const Json rest = without(schema, "$ref");
  if (says_nothing(rest)) return syntax_.rule(rule_of(schema["$ref"].get<std::string>(), *target));
  LH_ASSIGN_OR_RETURN(const Json merged, merge(*target, rest, path));
  return value(merged, path);
}

// The schema a reference stands for, where two must be joined.
Result<Json> SchemaCompiler::merge(const Json& a, const Json& b, const std::string& path) {
  if (++n_merges_ > kMostMerges)
    return unsupported("{}: expected at most {} schemas that are joined, found more", path,
                       kMostMerges);
  for (const auto& [one, other] : {std::pair(&a, &b), std::pair(&b, &a)}) {
    if (!one->is_object() || !one->contains("$ref")) continue;
    LH_ASSIGN_OR_RETURN(const Json* target, find((*one)["$ref"], path));
    LH_ASSIGN_OR_RETURN(const Json joined, merge(*target, without(*one, "$ref"), path));
    return merge(joined, *other, path);
  }
  for (const Json* schema : {&a, &b}) {
    if (schema->is_object()) LH_RETURN_IF_ERROR(check_keywords(*schema, path));
  }
  return merge_schemas(a, b, path);
}

Result<ExprId> SchemaCompiler::all_of(const Json& schema, const std::string& path) {
  const Json& list = schema["allOf"];
  if (!list.is_array() || list.empty())
    return bad_input("{}/allOf: expected a list of schemas, found {}", path, quoted(list));
  Json merged = without(schema, "allOf");
  for (size_t i = 0; i < list.size(); ++i) {
    LH_ASSIGN_OR_RETURN(merged, merge(merged, list[i], fmt::format("{}/allOf/{}", path, i)));
  }
  return value(merged, path);
}

Result<ExprId> SchemaCompiler::any_of(const Json& schema, const std::string& keyword,
                                      const std::string& path) {
  const Json& list = schema[keyword];
  if (!list.is_array() || list.empty())
    return bad_input("{}/{}: expected a list of schemas, found {}", path, keyword, quoted(list));
  const Json rest = without(schema, keyword);
  std::vector<ExprId> ways;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string its_path = fmt::format("{}/{}/{}", path, keyword, i);
    Json branch = list[i];
    if (!says_nothing(rest)) {
      LH_ASSIGN_OR_RETURN(branch, merge(branch, rest, its_path));
    }
    LH_ASSIGN_OR_RETURN(const ExprId way, value(branch, its_path));
    ways.push_back(way);
  }
  return syntax_.choice(std::move(ways));
}

// enum, const
Result<ExprId> SchemaCompiler::listed(const Json& schema, const std::string& path) {
  for (const auto& [keyword, unused] : schema.items()) {
    if (keyword == "enum" || keyword == "const" || keyword == "type" || is_annotation(keyword))
      continue;
    return unsupported("{}/{}: it is not supported beside enum and const", path, keyword);
  }
  Json values = schema.contains("enum") ? schema["enum"] : Json::array({schema["const"]});
  if (!values.is_array())
    return bad_input("{}/enum: expected a list of values, found {}", path, quoted(values));
  TypeSet types = 0xFF;
  if (schema.contains("type")) {
    LH_ASSIGN_OR_RETURN(types, type_set(schema, path));
  }
  std::vector<ExprId> ways;
  for (const Json& value : values) {
    const bool is_it = !schema.contains("const") || value == schema["const"];
    if (is_it && has_type(value, types)) ways.push_back(parts_.literal(value));
  }
  return syntax_.choice(std::move(ways));
}

Result<ExprId> SchemaCompiler::typed(const Json& schema, const std::string& path) {
  if (says_nothing(schema)) return parts_.value();
  LH_ASSIGN_OR_RETURN(const TypeSet types, type_set(schema, path));
  std::vector<ExprId> ways;
  for (const auto& [name, type] : kTypes) {
    if ((types & type) == 0) continue;
    LH_ASSIGN_OR_RETURN(const ExprId way, of_type(type, schema, path));
    ways.push_back(way);
  }
  return syntax_.choice(std::move(ways));
}

Result<ExprId> SchemaCompiler::of_type(SchemaType type, const Json& schema,
                                       const std::string& path) {
  switch (type) {
    case kNull:
      return syntax_.text("null");
    case kBoolean:
      return parts_.boolean();
    case kInteger:
      return integer(schema, path);
    case kNumber:
      return number(schema, path);
    case kString:
      return string(schema, path);
    case kArray:
      return array(schema, path);
    case kObject:
      return object(schema, path);
  }
  return syntax_.nothing();
}

}  // namespace longhaul::grammar
