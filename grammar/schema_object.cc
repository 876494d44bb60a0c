// Objects of a schema: members in the order of `properties`, then further ones.
#include <algorithm>
#include <set>

#include "base/utf8.h"
#include "grammar/schema_compiler.h"

namespace longhaul::grammar {
namespace {

constexpr size_t kLongestName = 256;  // characters, where further members must have other names

Result<std::set<std::string>> required_names(const Json& schema, const std::string& path) {
  std::set<std::string> names;
  if (!schema.contains("required")) return names;
  const Json& list = schema["required"];
  if (!list.is_array())
    return bad_input("{}/required: expected a list of names, found {}", path, quoted(list));
  for (const Json& name : list) {
    if (!name.is_string())
      return bad_input("{}/required: expected names, found {}", path, quoted(name));
    names.insert(name.get<std::string>());
  }
  return names;
}

Result<std::u32string> characters(const std::string& name, const std::string& path) {
  std::u32string codes;
  for (size_t pos = 0; pos < name.size();) {
    const Utf8Char c = decode_utf8(name, pos);
    codes.push_back(c.code);
    pos += c.n_bytes;
  }
  if (codes.size() > kLongestName)
    return unsupported(
        "{}/properties: expected names of at most {} characters beside further "
        "members, found {}",
        path, kLongestName, codes.size());
  return codes;
}

}  // namespace

// Those of `properties`, then those that are required only.
Result<std::vector<SchemaCompiler::Member>> SchemaCompiler::members(const Json& schema,
                                                                    std::set<std::string> required,
                                                                    const std::string& path) {
  std::vector<Member> all;
  if (schema.contains("properties")) {
    const Json& properties = schema["properties"];
    if (!properties.is_object())
      return bad_input("{}/properties: expected an object of schemas, found {}", path,
                       quoted(properties));
    for (const auto& [name, its_schema] : properties.items()) {
      const bool is_required = required.erase(name) > 0;
      LH_ASSIGN_OR_RETURN(const ExprId its_value,
                          value(its_schema, fmt::format("{}/properties/{}", path, name)));
      all.push_back({name, its_value, !is_required});
    }
  }
  if (required.empty()) return all;
  const Json further =
      schema.contains("additionalProperties") ? schema["additionalProperties"] : Json(true);
  LH_ASSIGN_OR_RETURN(const ExprId its_value, value(further, path + "/additionalProperties"));
  for (const std::string& name : required) all.push_back({name, its_value, false});
  return all;
}

Result<ExprId> SchemaCompiler::object(const Json& schema, const std::string& path) {
  const Json further =
      schema.contains("additionalProperties") ? schema["additionalProperties"] : Json(true);
  const bool knows_members = schema.contains("properties") || schema.contains("required");
  LH_ASSIGN_OR_RETURN(const auto required, required_names(schema, path));
  LH_ASSIGN_OR_RETURN(const uint32_t least, count_of(schema, "minProperties", 0, path));
  const bool needs_one = least == 1 && !knows_members;
  if (least > required.size() && !needs_one)
    return unsupported(
        "{}/minProperties: expected at most the number of required properties, {}, "
        "found {}",
        path, required.size(), least);
  if (!knows_members && further == true && !needs_one) return parts_.object();
  LH_ASSIGN_OR_RETURN(const std::vector<Member> known, members(schema, required, path));
  std::vector<ExprId> parts;
  std::vector<bool> is_optional;
  std::vector<std::u32string> names;
  for (const Member& member : known) {
    const ExprId key = syntax_.text(Json(member.name).dump());
    parts.push_back(parts_.member(key, member.value));
    is_optional.push_back(member.is_optional);
  }
  if (further != false) {
    for (const Member& member : known) {
      LH_ASSIGN_OR_RETURN(std::u32string codes, characters(member.name, path));
      names.push_back(std::move(codes));
    }
    LH_ASSIGN_OR_RETURN(const ExprId its_value, value(further, path + "/additionalProperties"));
    const ExprId one = parts_.member(parts_.string_but(std::move(names)), its_value);
    const ExprId more = syntax_.repeat(syntax_.sequence({parts_.comma(), one}), 0, kUnbounded);
    parts.push_back(syntax_.sequence({one, more}));
    is_optional.push_back(true);
  }
  const bool may_be_empty =
      !needs_one && std::find(is_optional.begin(), is_optional.end(), false) == is_optional.end();
  std::vector<ExprId> ways;
  if (may_be_empty) ways.push_back(parts_.bracketed("{", {}, "}"));
  if (!parts.empty()) {
    const ExprId joined = syntax_.join(std::move(parts), std::move(is_optional), parts_.comma());
    ways.push_back(parts_.bracketed("{", joined, "}"));
  }
  return syntax_.choice(std::move(ways));
}

}  // namespace longhaul::grammar
