// Whether a text is in a language, found by trying: slow, and nothing like the automaton. For
// tests.
#pragma once

#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "base/utf8.h"
#include "grammar/syntax.h"

namespace longhaul::grammar {

// Of languages without left recursion.
class ReferenceMatch {
 public:
  ReferenceMatch(const Syntax& syntax, std::string_view text) : syntax_(syntax), text_(text) {}

  bool matches(ExprId id) { return ends(id, 0).contains(text_.size()); }

 private:
  using Ends = std::set<size_t>;  // where what begins at one place may end

  const Ends& ends(ExprId id, size_t pos) {
    const auto known = known_.find({id, pos});
    if (known != known_.end()) return known->second;
    Ends found = find(syntax_[id], pos);
    return known_.emplace(std::pair(id, pos), std::move(found)).first->second;
  }

  Ends after(const Ends& begins, ExprId id) {
    Ends all;
    for (const size_t pos : begins) {
      const Ends& some = ends(id, pos);
      all.insert(some.begin(), some.end());
    }
    return all;
  }

  Ends find(const Expr& expr, size_t pos) {
    Ends found;
    switch (expr.kind) {
      case ExprKind::kText:
        if (text_.substr(pos).starts_with(expr.text)) found.insert(pos + expr.text.size());
        break;
      case ExprKind::kChars:
        if (pos < text_.size()) {
          const Utf8Char c = decode_utf8(text_, pos);
          if (c.state == Utf8State::kValid && expr.chars.contains(c.code))
            found.insert(pos + c.n_bytes);
        }
        break;
      case ExprKind::kSequence:
        found = {pos};
        for (const ExprId part : expr.parts) found = after(found, part);
        break;
      case ExprKind::kChoice:
        for (const ExprId part : expr.parts) found.merge(after({pos}, part));
        break;
      case ExprKind::kRepeat:
        return repeated(expr, pos);
      case ExprKind::kJoin:
        return joined(expr, pos);
      case ExprKind::kRule:
        return ends(syntax_.rules()[expr.rule].body, pos);
    }
    return found;
  }

  Ends repeated(const Expr& expr, size_t pos) {
    Ends found, now = {pos};
    // Beyond the text's length nothing new can come but what says nothing.
    const size_t most = std::min<size_t>(expr.max, expr.min + text_.size() + 1);
    for (size_t n = 0; n <= most && !now.empty(); ++n) {
      if (n >= expr.min) found.insert(now.begin(), now.end());
      now = after(now, expr.parts[0]);
    }
    return found;
  }

  Ends joined(const Expr& expr, size_t pos) {
    Ends first = {pos}, rest;
    for (size_t i = 0; i < expr.parts.size(); ++i) {
      Ends begins = first;
      begins.merge(after(rest, expr.separator));
      Ends through = after(begins, expr.parts[i]);
      if (expr.is_optional[i]) {
        through.insert(rest.begin(), rest.end());
      } else {
        first.clear();
      }
      rest = std::move(through);
    }
    return rest;
  }

  const Syntax& syntax_;
  std::string_view text_;
  std::map<std::pair<ExprId, size_t>, Ends> known_;
};

}  // namespace longhaul::grammar
