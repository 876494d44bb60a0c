#include "grammar/json_parts.h"

#include <fmt/format.h>

#include <algorithm>

namespace longhaul::grammar {
namespace {

constexpr uint32_t kMostIndent = 40;

const CharSet& plain_chars() {
  static const CharSet set = CharSet({{0, 0x1F}, {'"', '"'}, {'\\', '\\'}}).complement();
  return set;
}

const CharSet& hex_digits() {
  static const CharSet set({{'0', '9'}, {'a', 'f'}, {'A', 'F'}});
  return set;
}

struct ShortEscape {
  char32_t code;
  std::string_view text;
};
constexpr ShortEscape kShortEscapes[] = {{'"', "\\\""}, {'\\', "\\\\"}, {'\b', "\\b"},
                                         {'\f', "\\f"}, {'\n', "\\n"},  {'\r', "\\r"},
                                         {'\t', "\\t"}};

}  // namespace

ExprId JsonParts::rule(std::optional<RuleId>& id, std::string_view name,
                       ExprId (JsonParts::*make)()) {
  if (!id) {
    id = syntax_.add_rule(std::string(name));
    syntax_.define(*id, (this->*make)());
  }
  return syntax_.rule(*id);
}

ExprId JsonParts::value() { return rule(value_, "any value", &JsonParts::make_value); }
ExprId JsonParts::object() { return rule(object_, "any object", &JsonParts::make_object); }
ExprId JsonParts::array() { return rule(array_, "any array", &JsonParts::make_array); }
ExprId JsonParts::string() { return rule(string_, "any text", &JsonParts::make_string); }

// A model that may write white space without end sometimes does: each place takes little.
ExprId JsonParts::space() {
  if (space_) return *space_;
  if (space_kind_ == JsonSpace::kNone) return *(space_ = syntax_.empty());
  const ExprId indent = syntax_.repeat(syntax_.chars({{' ', ' '}, {'\t', '\t'}}), 0, kMostIndent);
  const ExprId line_break = syntax_.sequence({syntax_.text("\n"), indent});
  space_ = syntax_.choice({syntax_.empty(), syntax_.text(" "), line_break});
  return *space_;
}

ExprId JsonParts::bracketed(std::string_view open, std::optional<ExprId> content,
                            std::string_view close) {
  const ExprId inner = content ? syntax_.sequence({*content, space()}) : syntax_.empty();
  return syntax_.sequence({syntax_.text(open), space(), inner, syntax_.text(close)});
}

ExprId JsonParts::member(ExprId key, ExprId value) {
  return syntax_.sequence({key, syntax_.text(":"), space(), value});
}

ExprId JsonParts::make_value() {
  return syntax_.choice({string(), number(), boolean(), syntax_.text("null"), object(), array()});
}

ExprId JsonParts::make_object() {
  const ExprId one = member(string(), value());
  const ExprId more = syntax_.repeat(syntax_.sequence({comma(), one}), 0, kUnbounded);
  const ExprId members = syntax_.sequence({one, more, space()});
  return syntax_.sequence(
      {syntax_.text("{"), space(), syntax_.optional(members), syntax_.text("}")});
}

ExprId JsonParts::make_array() {
  const ExprId more = syntax_.repeat(syntax_.sequence({comma(), value()}), 0, kUnbounded);
  const ExprId items = syntax_.sequence({value(), more, space()});
  return syntax_.sequence({syntax_.text("["), space(), syntax_.optional(items), syntax_.text("]")});
}

ExprId JsonParts::make_string() {
  return syntax_.sequence({syntax_.text("\""), make_string_rest()});
}

ExprId JsonParts::make_string_rest() {
  return syntax_.sequence({syntax_.repeat(any_char(), 0, kUnbounded), syntax_.text("\"")});
}

ExprId JsonParts::any_char() {
  if (any_char_) return *any_char_;
  const auto one_of = [&](std::string_view digits) {
    std::vector<CharRange> ranges;
    for (const char digit : digits) ranges.push_back({char32_t(digit), char32_t(digit)});
    return syntax_.chars(CharSet(std::move(ranges)));
  };
  const auto hex = [&](uint32_t n) { return syntax_.repeat(syntax_.chars(hex_digits()), n, n); };
  const ExprId below_d = syntax_.sequence({one_of("0123456789abcABCefEF"), hex(3)});
  const ExprId d = one_of("dD");
  const ExprId no_surrogate = syntax_.sequence({d, one_of("01234567"), hex(2)});
  const ExprId pair = syntax_.sequence(
      {d, one_of("89abAB"), hex(2), syntax_.text("\\u"), d, one_of("cdefCDEF"), hex(2)});
  const ExprId code =
      syntax_.sequence({syntax_.text("u"), syntax_.choice({below_d, no_surrogate, pair})});
  const ExprId escape =
      syntax_.sequence({syntax_.text("\\"), syntax_.choice({one_of("\"\\/bfnrt"), code})});
  any_char_ = syntax_.choice({syntax_.chars(plain_chars()), escape});
  return *any_char_;
}

ExprId JsonParts::chars(const CharSet& set) {
  std::vector<ExprId> forms;
  if (CharSet plain = set.intersected(plain_chars()); !plain.empty())
    forms.push_back(syntax_.chars(std::move(plain)));
  const CharSet escaped = set.without(plain_chars());
  if (escaped == plain_chars().complement()) {
    forms.push_back(rule(escapes_, "any escape", &JsonParts::make_escapes));
  } else if (!escaped.empty()) {
    forms.push_back(escapes(escaped));
  }
  return syntax_.choice(std::move(forms));
}

ExprId JsonParts::make_escapes() { return escapes(plain_chars().complement()); }

// The characters of a set that cannot stand for themselves.
ExprId JsonParts::escapes(CharSet escaped) {
  std::vector<ExprId> forms;
  for (const ShortEscape& escape : kShortEscapes) {
    if (!escaped.contains(escape.code)) continue;
    forms.push_back(syntax_.text(escape.text));
    escaped = escaped.without(CharSet({{escape.code, escape.code}}));
  }
  for (const CharRange& range : escaped.ranges()) {
    for (char32_t code = range.first; code <= range.last; ++code) {
      const auto number = static_cast<uint32_t>(code);
      forms.push_back(syntax_.text(fmt::format("\\u{:04x}", number)));
      if (number % 16 > 9) forms.push_back(syntax_.text(fmt::format("\\u{:04X}", number)));
    }
  }
  return syntax_.choice(std::move(forms));
}

ExprId JsonParts::string_but(std::vector<std::u32string> names) {
  if (names.empty()) return string();
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return syntax_.sequence({syntax_.text("\""), names_end(names, 0)});
}

// What may follow the first n_chars characters that `names` have in common, which are sorted.
ExprId JsonParts::names_end(std::span<const std::u32string> names, size_t n_chars) {
  std::vector<ExprId> ways;
  const bool is_name = names.front().size() == n_chars;
  if (!is_name) ways.push_back(syntax_.text("\""));
  std::vector<CharRange> next;
  for (size_t i = is_name ? 1 : 0; i < names.size();) {
    const char32_t code = names[i][n_chars];
    const auto end = std::find_if(names.begin() + static_cast<std::ptrdiff_t>(i), names.end(),
                                  [&](const auto& name) { return name[n_chars] != code; });
    const auto n_alike = static_cast<size_t>(end - names.begin()) - i;
    const ExprId rest = names_end(names.subspan(i, n_alike), n_chars + 1);
    ways.push_back(syntax_.sequence({chars(CharSet({{code, code}})), rest}));
    next.push_back({code, code});
    i += n_alike;
  }
  const ExprId other = chars(CharSet(std::move(next)).complement());
  ways.push_back(syntax_.sequence(
      {other, rule(string_rest_, "the rest of a text", &JsonParts::make_string_rest)}));
  return syntax_.choice(std::move(ways));
}

ExprId JsonParts::digits(uint32_t min, uint32_t max) {
  return syntax_.repeat(syntax_.chars({{'0', '9'}}), min, max);
}

ExprId JsonParts::integer() {
  const ExprId from_one = syntax_.sequence({syntax_.chars({{'1', '9'}}), digits(0, kUnbounded)});
  return syntax_.sequence(
      {syntax_.optional(syntax_.text("-")), syntax_.choice({syntax_.text("0"), from_one})});
}

ExprId JsonParts::number() {
  const ExprId fraction = syntax_.sequence({syntax_.text("."), digits(1, kUnbounded)});
  const ExprId sign = syntax_.optional(syntax_.chars({{'+', '+'}, {'-', '-'}}));
  const ExprId exponent =
      syntax_.sequence({syntax_.chars({{'e', 'e'}, {'E', 'E'}}), sign, digits(1, kUnbounded)});
  return syntax_.sequence({integer(), syntax_.optional(fraction), syntax_.optional(exponent)});
}

ExprId JsonParts::boolean() {
  return syntax_.choice({syntax_.text("true"), syntax_.text("false")});
}

ExprId JsonParts::literal(const Json& value) {
  if (!value.is_structured() || value.empty()) return syntax_.text(value.dump());
  std::vector<ExprId> parts;
  for (const auto& [key, item] : value.items()) {
    if (!parts.empty()) parts.push_back(comma());
    ExprId part = literal(item);
    if (value.is_object()) part = member(syntax_.text(Json(key).dump()), part);
    parts.push_back(part);
  }
  const ExprId content = syntax_.sequence(std::move(parts));
  return value.is_object() ? bracketed("{", content, "}") : bracketed("[", content, "]");
}

}  // namespace longhaul::grammar
