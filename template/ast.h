// A parsed template.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "template/value.h"

namespace longhaul::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

enum class ExpressionKind : uint8_t {
  kLiteral,      // value
  kName,         // name
  kList,         // parts
  kTuple,        // parts
  kDict,         // parts: key, value, key, value ..
  kAttribute,    // parts[0] . name
  kSubscript,    // parts[0] [ parts[1] ]
  kSlice,        // parts[0] [ parts[1] : parts[2] : parts[3] ], those left out null
  kCall,         // parts[0] ( arguments )
  kFilter,       // parts[0] | name ( arguments ); parts[0] is null in {% filter %} and {% set %}
  kTest,         // parts[0] is name ( arguments )
  kNot,          // parts[0]
  kSign,         // name is + or -, of parts[0]
  kBinary,       // name is + - * / // % **, of two parts
  kConcat,       // ~ of all parts
  kCompare,      // parts[0] names[0] parts[1] names[1] parts[2] ..
  kAnd,          // two parts
  kOr,           // two parts
  kConditional,  // parts[0] if parts[1] else parts[2], which may be null
};

struct Argument {
  std::string name;  // empty: by position
  ExpressionPtr value;
  bool is_spread = false;  // *value: all of its items, by position
};

struct Expression {
  ExpressionKind kind;
  size_t at = 0;      // offset in the source
  size_t height = 1;  // of the tree below
  std::string name;
  Value value;
  std::vector<std::string> names;
  std::vector<ExpressionPtr> parts;
  std::vector<Argument> arguments;
};

struct Statement;
using Block = std::vector<Statement>;

// What is assigned to: one name, `namespace.name`, or several names apart.
struct Target {
  std::vector<std::string> names;
  std::string attribute;  // of the namespace names[0]; empty: none
  bool is_tuple = false;
};

struct Parameter {
  std::string name;
  ExpressionPtr default_value;  // null: none
};

enum class StatementKind : uint8_t {
  kText,      // text
  kOutput,    // value
  kIf,        // branches
  kFor,       // target in value if condition: body else otherwise
  kSet,       // target = value
  kSetBlock,  // target = body through value, a filter, if there is one
  kMacro,     // target.names[0] (parameters): body
  kCall,      // value, a call, whose caller(parameters) is body
  kFilter,    // body through value
  kWith,      // parameters are set within body
  kScope,     // body, with variables of its own
  kBreak,
  kContinue,
};

struct Branch {
  ExpressionPtr condition;  // null: else
  Block body;
};

struct Statement {
  StatementKind kind;
  size_t at = 0;
  Text text;
  Target target;
  ExpressionPtr value;
  ExpressionPtr condition;
  std::vector<Branch> branches;
  std::vector<Parameter> parameters;
  Block body;
  Block otherwise;
};

}  // namespace longhaul::jinja
