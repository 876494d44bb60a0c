#include "grammar/syntax.h"

#include "base/check.h"
#include "grammar/limits.h"

namespace longhaul::grammar {

ExprId Syntax::add(Expr expr) {
  // Beyond the limit nothing is kept: whoever built it asks check_size() before using it.
  if (exprs_.size() > kMostParts) return 0;
  exprs_.push_back(std::move(expr));
  return static_cast<ExprId>(exprs_.size() - 1);
}

ExprId Syntax::text(std::string_view bytes) {
  return add({.kind = ExprKind::kText, .text = std::string(bytes)});
}

ExprId Syntax::chars(CharSet set) {
  return add({.kind = ExprKind::kChars, .chars = std::move(set)});
}

ExprId Syntax::sequence(std::vector<ExprId> parts) {
  if (parts.size() == 1) return parts.front();
  return add({.kind = ExprKind::kSequence, .parts = std::move(parts)});
}

ExprId Syntax::choice(std::vector<ExprId> parts) {
  if (parts.size() == 1) return parts.front();
  return add({.kind = ExprKind::kChoice, .parts = std::move(parts)});
}

ExprId Syntax::repeat(ExprId part, uint32_t min, uint32_t max) {
  return add({.kind = ExprKind::kRepeat, .parts = {part}, .min = min, .max = max});
}

ExprId Syntax::join(std::vector<ExprId> parts, std::vector<bool> is_optional, ExprId separator) {
  LH_CHECK(parts.size() == is_optional.size());
  return add({.kind = ExprKind::kJoin,
              .parts = std::move(parts),
              .is_optional = std::move(is_optional),
              .separator = separator});
}

ExprId Syntax::rule(RuleId id) { return add({.kind = ExprKind::kRule, .rule = id}); }

RuleId Syntax::add_rule(std::string name) {
  rules_.push_back({.name = std::move(name)});
  return static_cast<RuleId>(rules_.size() - 1);
}

void Syntax::define(RuleId id, ExprId body) {
  rules_[id].body = body;
  rules_[id].is_defined = true;
}

Status Syntax::check_size() const {
  if (exprs_.size() > kMostParts)
    return bad_input("expected a grammar of at most {} parts, found more", kMostParts);
  if (rules_.size() > kMostRules)
    return bad_input("expected at most {} rules, found {}", kMostRules, rules_.size());
  return {};
}

}  // namespace longhaul::grammar
