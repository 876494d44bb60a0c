// One schema after the other, to parts of JSON texts.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "grammar/json_parts.h"
#include "grammar/syntax.h"

namespace longhaul::grammar {

// The types that a schema's values may have, one bit each.
using TypeSet = uint8_t;
enum SchemaType : TypeSet {
  kNull = 1,
  kBoolean = 2,
  kInteger = 4,
  kNumber = 8,
  kString = 16,
  kArray = 32,
  kObject = 64,
};

class SchemaCompiler {
 public:
  SchemaCompiler(const Json& root, JsonSpace space, Syntax& syntax)
      : root_(root), syntax_(syntax), parts_(syntax, space) {}

  // Error: with the path of the keyword at fault.
  Result<RuleId> compile();

 private:
  // schema.cc: what all schemas have in common.
  Result<ExprId> value(const Json& schema, const std::string& path);
  Result<ExprId> value_of_object(const Json& schema, const std::string& path);
  Result<ExprId> reference(const Json& schema, const std::string& path);
  Result<ExprId> all_of(const Json& schema, const std::string& path);
  Result<ExprId> any_of(const Json& schema, const std::string& keyword, const std::string& path);
  Result<ExprId> listed(const Json& schema, const std::string& path);
  Result<ExprId> typed(const Json& schema, const std::string& path);
  Result<ExprId> of_type(SchemaType type, const Json& schema, const std::string& path);
  Result<const Json*> find(const Json& reference, const std::string& path) const;
  Result<Json> merge(const Json& a, const Json& b, const std::string& path);
  RuleId rule_of(const std::string& pointer, const Json& schema);

  // schema_types.cc: the types that have keywords.
  Result<ExprId> string(const Json& schema, const std::string& path);
  Result<ExprId> integer(const Json& schema, const std::string& path);
  Result<ExprId> number(const Json& schema, const std::string& path);
  Result<ExprId> array(const Json& schema, const std::string& path);
  Result<ExprId> array_of(std::vector<ExprId> first, std::optional<ExprId> rest, uint32_t min,
                          uint32_t max);

  // schema_object.cc
  struct Member {
    std::string name;
    ExprId value = 0;
    bool is_optional = false;
  };
  Result<ExprId> object(const Json& schema, const std::string& path);
  Result<std::vector<Member>> members(const Json& schema, std::set<std::string> required,
                                      const std::string& path);

  struct Pending {
    RuleId rule;
    const Json* schema;
    std::string path;
  };

  const Json& root_;
  Syntax& syntax_;
  JsonParts parts_;
  std::map<std::string, RuleId> rules_;  // by pointer
  std::vector<Pending> pending_;
  size_t depth_ = 0, n_merges_ = 0;
};

// A value as messages quote it, at most some 60 bytes.
std::string quoted(const Json& value);
// The types that the keywords of a schema speak of, where it has no `type`; all if there are none.
TypeSet types_of_keywords(const Json& schema);
// Error: a keyword that is not known or not supported.
Status check_keywords(const Json& schema, const std::string& path);
// A count: `fallback` where the keyword is not there.
Result<uint32_t> count_of(const Json& schema, std::string_view keyword, uint32_t fallback,
                          const std::string& path);

}  // namespace longhaul::grammar
