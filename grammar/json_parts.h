// The parts that JSON texts are made of.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "grammar/syntax.h"
#include "longhaul/grammar.h"

namespace longhaul::grammar {

// With the order of an object's members, which is the order an answer has.
using Json = nlohmann::ordered_json;

// Makes parts, those that are asked for often once.
class JsonParts {
 public:
  JsonParts(Syntax& syntax, JsonSpace space) : syntax_(syntax), space_kind_(space) {}

  ExprId space();
  // A comma and what may stand behind it.
  ExprId comma() { return syntax_.sequence({syntax_.text(","), space()}); }
  // Parts between brackets; `content` is absent in an empty one.
  ExprId bracketed(std::string_view open, std::optional<ExprId> content, std::string_view close);
  // "key": value
  ExprId member(ExprId key, ExprId value);

  // Any value, object, array, text.
  ExprId value();
  ExprId object();
  ExprId array();
  ExprId string();
  // Of a text between its quotes: one character, in any form. Surrogates come in pairs alone.
  ExprId any_char();
  // One character of a set in the one form that we write: itself, or the shortest escape.
  ExprId chars(const CharSet& set);
  // A text that is none of `names`.
  ExprId string_but(std::vector<std::u32string> names);
  // Parts of numbers.
  ExprId digits(uint32_t min, uint32_t max);
  ExprId integer();
  ExprId number();
  ExprId boolean();
  // A value as it stands, members in their order.
  ExprId literal(const Json& value);

  Syntax& syntax() { return syntax_; }

 private:
  ExprId rule(std::optional<RuleId>& id, std::string_view name, ExprId (JsonParts::*make)());
  ExprId make_string();
  ExprId make_string_rest();
  ExprId make_escapes();
  ExprId escapes(CharSet escaped);
  ExprId make_value();
  ExprId make_object();
  ExprId make_array();
  ExprId names_end(std::span<const std::u32string> names, size_t n_chars);

  Syntax& syntax_;
  JsonSpace space_kind_;
  std::optional<ExprId> space_, any_char_;
  std::optional<RuleId> string_, string_rest_, escapes_, value_, object_, array_;
};

}  // namespace longhaul::grammar
