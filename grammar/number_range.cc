#include "grammar/number_range.h"

#include <fmt/format.h>

#include <algorithm>

namespace longhaul::grammar {
namespace {

constexpr size_t kMostWhole = 18, kMostFraction = 40;  // digits

// One character from a range; an empty range is nothing.
ExprId digit(Syntax& syntax, char first, char last) {
  if (first > last) return syntax.nothing();
  return syntax.chars(CharSet({{char32_t(first), char32_t(last)}}));
}

// Texts of digits, all as long as `low` and `high`, that lie between these two.
class SameLength {
 public:
  SameLength(std::string_view low, std::string_view high, JsonParts& parts)
      : low_(low), high_(high), parts_(parts), syntax_(parts.syntax()) {}

  // From digit i on; `at_low`: so far the digits are those of low_.
  ExprId from(size_t i, bool at_low, bool at_high) {
    const auto n_left = static_cast<uint32_t>(low_.size() - i);
    if (n_left == 0) return syntax_.empty();
    if (!at_low && !at_high) return parts_.digits(n_left, n_left);
    const char first = at_low ? low_[i] : '0', last = at_high ? high_[i] : '9';
    std::vector<ExprId> ways;
    const auto add = [&](char a, char b, bool low, bool high) {
      if (a <= b) ways.push_back(syntax_.sequence({digit(syntax_, a, b), from(i + 1, low, high)}));
    };
    if (first == last) {
      add(first, last, at_low, at_high);
    } else {
      const char inner_first = at_low ? static_cast<char>(first + 1) : first;
      const char inner_last = at_high ? static_cast<char>(last - 1) : last;
      if (at_low) add(first, first, true, false);
      add(inner_first, inner_last, false, false);
      if (at_high) add(last, last, false, true);
    }
    return syntax_.choice(std::move(ways));
  }

 private:
  std::string low_, high_;
  JsonParts& parts_;
  Syntax& syntax_;
};

// Whole numbers without a sign, from `low` on.
ExprId naturals(uint64_t low, std::optional<uint64_t> high, JsonParts& parts) {
  Syntax& syntax = parts.syntax();
  std::vector<ExprId> ways;
  std::string first = std::to_string(low);
  const std::string last = high ? std::to_string(*high) : std::string();
  while (!high || first.size() < last.size()) {
    ways.push_back(SameLength(first, std::string(first.size(), '9'), parts).from(0, true, true));
    first = "1" + std::string(first.size(), '0');
    if (high) continue;
    const auto n_more = static_cast<uint32_t>(first.size() - 1);
    ways.push_back(syntax.sequence({digit(syntax, '1', '9'), parts.digits(n_more, kUnbounded)}));
    return syntax.choice(std::move(ways));
  }
  if (first <= last) ways.push_back(SameLength(first, last, parts).from(0, true, true));
  return syntax.choice(std::move(ways));
}

// What follows a whole part: nothing, or a point and digits, so that the fraction lies between two
// others, where these are there.
class Fractions {
 public:
  Fractions(const Decimal* low, const Decimal* high, JsonParts& parts)
      : low_(low), high_(high), parts_(parts), syntax_(parts.syntax()) {}

  ExprId all() {
    const State begin{.at_low = low_ != nullptr, .at_high = high_ != nullptr};
    const ExprId some = syntax_.sequence({syntax_.text("."), digits(begin)});
    return may_end(begin) ? syntax_.optional(some) : some;
  }

 private:
  // Of the digits so far: whether they are those of the bounds.
  struct State {
    size_t n_digits = 0;
    bool at_low = false, at_high = false;
  };

  static std::string_view rest(const Decimal& bound, const State& state) {
    return std::string_view(bound.fraction).substr(std::min(state.n_digits, bound.fraction.size()));
  }
  // With zeros from here on.
  bool may_end(const State& state) const {
    if (state.at_low && !(rest(*low_, state).empty() && low_->is_in)) return false;
    return !state.at_high || !rest(*high_, state).empty() || high_->is_in;
  }

  // One digit or more.
  ExprId digits(State state) {
    const bool low_is_over = state.at_low && rest(*low_, state).empty();
    const bool high_is_over = state.at_high && rest(*high_, state).empty();
    if (low_is_over && low_->is_in) state.at_low = false;
    if (high_is_over) {
      // Nothing but zeros stays at the upper bound, if that may be.
      const bool is_possible = high_->is_in && !state.at_low;
      return is_possible ? syntax_.repeat(digit(syntax_, '0', '0'), 1, kUnbounded)
                         : syntax_.nothing();
    }
    if (!state.at_low && !state.at_high) return parts_.digits(1, kUnbounded);
    if (low_is_over && state.at_low && !state.at_high) {
      return syntax_.sequence({syntax_.repeat(digit(syntax_, '0', '0'), 0, kUnbounded),
                               digit(syntax_, '1', '9'), parts_.digits(0, kUnbounded)});
    }
    return next(state);
  }

  ExprId next(const State& state) {
    const std::string_view low_rest = state.at_low ? rest(*low_, state) : std::string_view();
    const char first = low_rest.empty() ? '0' : low_rest.front();
    const char last = state.at_high ? rest(*high_, state).front() : '9';
    std::vector<ExprId> ways;
    for (char d = first; d <= last; ++d) {
      const State then{.n_digits = state.n_digits + 1,
                       .at_low = state.at_low && d == first,
                       .at_high = state.at_high && d == last};
      const ExprId more = digits(then);
      ways.push_back(
          syntax_.sequence({digit(syntax_, d, d), may_end(then) ? syntax_.optional(more) : more}));
    }
    return syntax_.choice(std::move(ways));
  }

  const Decimal* low_;   // null: none
  const Decimal* high_;  // null: none
  JsonParts& parts_;
  Syntax& syntax_;
};

uint64_t whole_of(const Decimal& number) { return std::stoull(number.whole); }

// Numbers without a sign between bounds that have none.
ExprId magnitudes(const Decimal& low, const Decimal* high, JsonParts& parts) {
  Syntax& syntax = parts.syntax();
  std::vector<ExprId> ways;
  const auto add = [&](ExprId whole, const Decimal* from, const Decimal* to) {
    ways.push_back(syntax.sequence({whole, Fractions(from, to, parts).all()}));
  };
  const uint64_t first = whole_of(low);
  if (high != nullptr && first > whole_of(*high)) return syntax.nothing();
  if (high != nullptr && first == whole_of(*high)) {
    if (low.fraction > high->fraction) return syntax.nothing();
    add(syntax.text(low.whole), &low, high);
    return syntax.choice(std::move(ways));
  }
  add(syntax.text(low.whole), &low, nullptr);
  if (high == nullptr) {
    add(naturals(first + 1, {}, parts), nullptr, nullptr);
    return syntax.choice(std::move(ways));
  }
  const uint64_t last = whole_of(*high);
  if (first + 1 < last) add(naturals(first + 1, last - 1, parts), nullptr, nullptr);
  add(syntax.text(high->whole), nullptr, high);
  return syntax.choice(std::move(ways));
}

// "1.5e-7" to digits around a point.
Decimal decimal_of_text(std::string text) {
  Decimal out;
  out.is_negative = text.front() == '-';
  if (out.is_negative) text.erase(0, 1);
  long exponent = 0;
  if (const size_t e = text.find_first_of("eE"); e != std::string::npos) {
    exponent = std::strtol(text.c_str() + e + 1, nullptr, 10);
    text.resize(e);
  }
  const size_t point = std::min(text.find('.'), text.size());
  std::string whole = text.substr(0, point);
  std::string fraction = point < text.size() ? text.substr(point + 1) : std::string();
  for (; exponent > 0; --exponent) {
    whole += fraction.empty() ? '0' : fraction.front();
    if (!fraction.empty()) fraction.erase(0, 1);
  }
  for (; exponent < 0; ++exponent) {
    fraction.insert(fraction.begin(), whole.empty() ? '0' : whole.back());
    if (!whole.empty()) whole.pop_back();
  }
  whole.erase(0, std::min(whole.find_first_not_of('0'), whole.size()));
  fraction.resize(fraction.find_last_not_of('0') + 1);  // npos + 1 is 0
  out.whole = whole.empty() ? "0" : whole;
  out.fraction = fraction;
  if (out.is_zero()) out.is_negative = false;
  return out;
}

}  // namespace

ExprId add_integers(IntegerRange range, JsonParts& parts) {
  Syntax& syntax = parts.syntax();
  if (!range.low && !range.high) return parts.integer();
  std::vector<ExprId> ways;
  if (!range.low || *range.low < 0) {
    // From the number next to zero on.
    const uint64_t first = range.high && *range.high < 0 ? static_cast<uint64_t>(-*range.high) : 1;
    std::optional<uint64_t> last;
    if (range.low) last = static_cast<uint64_t>(-*range.low);
    if (!last || first <= *last)
      ways.push_back(syntax.sequence({syntax.text("-"), naturals(first, last, parts)}));
  }
  if (!range.high || *range.high >= 0) {
    const auto first = static_cast<uint64_t>(std::max<int64_t>(0, range.low.value_or(0)));
    std::optional<uint64_t> last;
    if (range.high) last = static_cast<uint64_t>(*range.high);
    if (!last || first <= *last) ways.push_back(naturals(first, last, parts));
  }
  return syntax.choice(std::move(ways));
}

std::optional<Decimal> decimal_of(const Json& number) {
  Decimal out = decimal_of_text(number.dump());
  if (out.whole.size() > kMostWhole || out.fraction.size() > kMostFraction) return {};
  return out;
}

ExprId add_decimals(const DecimalRange& range, JsonParts& parts) {
  Syntax& syntax = parts.syntax();
  const Decimal zero, above_zero{.is_in = false};
  const bool low_is_negative = !range.low || range.low->is_negative;
  const bool high_is_negative = range.high && range.high->is_negative;
  std::vector<ExprId> ways;
  if (low_is_negative) {
    const Decimal* last = range.low ? &*range.low : nullptr;
    const Decimal& first = high_is_negative ? *range.high : above_zero;
    ways.push_back(syntax.sequence({syntax.text("-"), magnitudes(first, last, parts)}));
  }
  if (!high_is_negative) {
    const Decimal* last = range.high ? &*range.high : nullptr;
    ways.push_back(magnitudes(low_is_negative ? zero : *range.low, last, parts));
  }
  return syntax.choice(std::move(ways));
}

}  // namespace longhaul::grammar
