// A language as a tree: what grammars, schemas and patterns become before they are an automaton.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "grammar/char_set.h"

namespace longhaul::grammar {

enum class ExprKind : uint8_t {
  kText,      // the bytes of `text`
  kChars,     // one character of `chars`
  kSequence,  // all parts; without any: the empty text
  kChoice,    // one of the parts; without any: nothing at all
  kRepeat,    // the one part, min to max times
  kJoin,      // some of the parts in their order, at least one, with `separator` between them
  kRule,      // what rule number `rule` says
};

using ExprId = uint32_t;
using RuleId = uint32_t;
inline constexpr uint32_t kUnbounded = std::numeric_limits<uint32_t>::max();

struct Expr {
  ExprKind kind = ExprKind::kSequence;
  std::string text = {};
  CharSet chars = {};
  std::vector<ExprId> parts = {};
  uint32_t min = 0, max = 0;           // kUnbounded: as often as you like
  std::vector<bool> is_optional = {};  // kJoin: of each part
  ExprId separator = 0;                // kJoin
  RuleId rule = 0;
};

struct Rule {
  std::string name;  // for messages
  ExprId body = 0;
  bool is_defined = false;
};

// Owns the tree. The functions that make parts never fail; what grew too large is found at the end,
// by check_size().
class Syntax {
 public:
  ExprId text(std::string_view bytes);
  ExprId chars(CharSet set);
  ExprId sequence(std::vector<ExprId> parts);
  ExprId choice(std::vector<ExprId> parts);
  ExprId repeat(ExprId part, uint32_t min, uint32_t max);
  ExprId optional(ExprId part) { return repeat(part, 0, 1); }
  ExprId join(std::vector<ExprId> parts, std::vector<bool> is_optional, ExprId separator);
  ExprId rule(RuleId id);
  ExprId empty() { return sequence({}); }
  ExprId nothing() { return choice({}); }

  RuleId add_rule(std::string name);
  void define(RuleId id, ExprId body);

  const Expr& operator[](ExprId id) const { return exprs_[id]; }
  const std::vector<Rule>& rules() const { return rules_; }
  size_t size() const { return exprs_.size(); }
  Status check_size() const;

 private:
  ExprId add(Expr expr);

  std::vector<Expr> exprs_;
  std::vector<Rule> rules_;
};

}  // namespace longhaul::grammar
