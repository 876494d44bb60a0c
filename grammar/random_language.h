// Grammars by chance and texts of them, for tests: what is derived is in the language, whatever the
// automaton says.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "base/random.h"
#include "base/utf8.h"
#include "grammar/syntax.h"

namespace longhaul::grammar {

class RandomLanguage {
 public:
  explicit RandomLanguage(uint64_t seed) : seed_(seed) {}

  // A few rules that use each other behind a byte, so that none is left-recursive; the first is the
  // root.
  void make(Syntax& syntax) {
    const uint32_t n_rules = 1 + below(4);
    for (uint32_t i = 0; i < n_rules; ++i) syntax.add_rule("rule" + std::to_string(i));
    for (uint32_t i = 0; i < n_rules; ++i) {
      // The first choice ends, so that every rule has texts.
      const ExprId end = syntax.text(word());
      syntax.define(i, syntax.choice({end, part(syntax, n_rules, 3, false)}));
    }
  }

  // A text of the part, or false where it grew beyond `room`.
  bool derive(const Syntax& syntax, ExprId id, size_t depth, std::string& text) {
    const Expr& expr = syntax[id];
    if (depth == 0 || text.size() > 60) return false;
    const auto derive_part = [&](ExprId part) { return derive(syntax, part, depth - 1, text); };
    switch (expr.kind) {
      case ExprKind::kText:
        text += expr.text;
        return true;
      case ExprKind::kChars: {
        const auto& ranges = expr.chars.ranges();
        if (ranges.empty()) return false;
        const CharRange& range = ranges[below(static_cast<uint32_t>(ranges.size()))];
        append_utf8(text, range.first + below(range.last - range.first + 1));
        return true;
      }
      case ExprKind::kSequence:
        for (const ExprId part : expr.parts) {
          if (!derive_part(part)) return false;
        }
        return true;
      case ExprKind::kChoice:
        if (expr.parts.empty()) return false;
        return derive_part(expr.parts[below(static_cast<uint32_t>(expr.parts.size()))]);
      case ExprKind::kRepeat: {
        const uint32_t most = std::min(expr.max, expr.min + 3);
        const uint32_t n = expr.min + below(most - expr.min + 1);
        for (uint32_t i = 0; i < n; ++i) {
          if (!derive_part(expr.parts[0])) return false;
        }
        return true;
      }
      case ExprKind::kJoin:
        return derive_join(syntax, expr, depth, text);
      case ExprKind::kRule:
        return derive_part(syntax.rules()[expr.rule].body);
    }
    return false;
  }

  uint32_t below(uint32_t n) { return static_cast<uint32_t>(split_mix64(seed_) % n); }

 private:
  bool derive_join(const Syntax& syntax, const Expr& join, size_t depth, std::string& text) {
    bool is_first = true;
    for (size_t i = 0; i < join.parts.size(); ++i) {
      if (join.is_optional[i] && below(2) == 0) continue;
      if (!is_first && !derive(syntax, join.separator, depth - 1, text)) return false;
      if (!derive(syntax, join.parts[i], depth - 1, text)) return false;
      is_first = false;
    }
    return !is_first;
  }

  std::string word() {
    std::string text;
    for (uint32_t n = 1 + below(2); n > 0; --n) text += static_cast<char>('a' + below(3));
    return text;
  }

  // `may_call`: a byte stands before it.
  ExprId part(Syntax& syntax, uint32_t n_rules, size_t depth, bool may_call) {
    const uint32_t kind = below(depth == 0 ? 2 : 8);
    const auto inner = [&](bool call) { return part(syntax, n_rules, depth - 1, call); };
    switch (kind) {
      case 0:
        return syntax.text(word());
      case 1:
        return syntax.chars(below(4) == 0
                                ? CharSet({{'b', 'c'}, {0xE4, 0x20AC}, {0x1F600, 0x1F64F}})
                                : CharSet({{'a', 'a' + below(3)}}));
      case 2:
      case 3: {
        const ExprId first = inner(may_call);
        return syntax.sequence({first, syntax.text(word()), inner(true)});
      }
      case 4: {
        const ExprId first = inner(may_call);
        return syntax.choice({first, inner(may_call)});
      }
      case 5: {
        const uint32_t min = below(3), extra = below(4);
        const uint32_t large = below(3) == 0 ? 60 : 0;  // counted, not written out
        return syntax.repeat(inner(may_call), min, extra == 3 ? kUnbounded : min + extra + large);
      }
      case 6: {
        const ExprId a = inner(may_call), b = inner(may_call), separator = syntax.text(word());
        return syntax.join({a, b}, {below(2) == 0, below(2) == 0}, separator);
      }
      default:
        return may_call ? syntax.rule(below(n_rules)) : syntax.text(word());
    }
  }

  uint64_t seed_;
};

}  // namespace longhaul::grammar
