#include "grammar/pattern_parser.h"

#include "grammar/limits.h"
#include "grammar/scanner.h"

namespace longhaul::grammar {
namespace {

CharSet one(char32_t code) { return CharSet({{code, code}}); }

CharSet digits() { return CharSet({{'0', '9'}}); }
CharSet word_chars() { return CharSet({{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}); }
CharSet line_ends() { return CharSet({{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}); }
CharSet spaces() {
  return CharSet({{'\t', '\r'},
                  {' ', ' '},
                  {0xA0, 0xA0},
                  {0x1680, 0x1680},
                  {0x2000, 0x200A},
                  {0x2028, 0x2029},
                  {0x202F, 0x202F},
                  {0x205F, 0x205F},
                  {0x3000, 0x3000},
                  {0xFEFF, 0xFEFF}});
}

class Parser {
 public:
  Parser(std::string_view pattern, JsonParts& parts)
      : in_(pattern), parts_(parts), syntax_(parts.syntax()) {}

  Result<ExprId> parse() {
    std::vector<ExprId> ways;
    do {
      const bool from_first = in_.take("^");
      LH_ASSIGN_OR_RETURN(const ExprId body, sequence(0));
      const bool to_last = in_.take("$");
      const ExprId any = from_first && to_last ? syntax_.empty()
                                               : syntax_.repeat(parts_.any_char(), 0, kUnbounded);
      ways.push_back(syntax_.sequence(
          {from_first ? syntax_.empty() : any, body, to_last ? syntax_.empty() : any}));
    } while (in_.take("|"));
    if (!in_.at_end()) return in_.error("the end of the pattern");
    return syntax_.choice(std::move(ways));
  }

 private:
  Result<ExprId> alternatives(size_t depth) {
    if (depth > kMostNesting)
      return bad_input("expected at most {} groups within groups, found more", kMostNesting);
    std::vector<ExprId> ways;
    do {
      LH_ASSIGN_OR_RETURN(const ExprId way, sequence(depth));
      ways.push_back(way);
    } while (in_.take("|"));
    return syntax_.choice(std::move(ways));
  }

  // Ends before |, ) and $.
  Result<ExprId> sequence(size_t depth) {
    std::vector<ExprId> items;
    while (!in_.at_end() && in_.peek() != '|' && in_.peek() != ')' && in_.peek() != '$') {
      LH_ASSIGN_OR_RETURN(const ExprId item, atom(depth));
      LH_ASSIGN_OR_RETURN(const ExprId repeated, quantified(item));
      items.push_back(repeated);
      LH_RETURN_IF_ERROR(syntax_.check_size());
    }
    if (in_.peek() == '$' && depth > 0)
      return unsupported("{}: $ within a group is not supported: expected it at the end",
                         in_.where());
    return syntax_.sequence(std::move(items));
  }

  Result<ExprId> atom(size_t depth) {
    const std::string where = in_.where();
    if (in_.take("(")) return group(depth);
    if (in_.take("[")) return char_class();
    if (in_.take(".")) return parts_.chars(line_ends().complement());
    if (in_.peek() == '^')
      return unsupported("{}: ^ is not supported here: expected it at the beginning", where);
    const char c = in_.peek();
    if (c == '*' || c == '+' || c == '?' || c == '{' || c == '}' || c == ']')
      return in_.error("a character, a class or a group");
    LH_ASSIGN_OR_RETURN(const CharSet set, character(false));
    return parts_.chars(set);
  }

  Result<ExprId> group(size_t depth) {
    const std::string where = in_.where();
    if (in_.take("?")) {
      const bool is_named = in_.peek() == '<' && !in_.starts_with("<=") && !in_.starts_with("<!");
      if (is_named) {
        while (!in_.at_end() && in_.peek() != '>') in_.skip(1);
        in_.skip(1);
      } else if (!in_.take(":")) {
        return unsupported(
            "{}: look-around and flags are not supported: expected (, (?: or (?<name>", where);
      }
    }
    LH_ASSIGN_OR_RETURN(const ExprId inner, alternatives(depth + 1));
    if (!in_.take(")")) return in_.error("')'");
    return inner;
  }

  Result<ExprId> quantified(ExprId item) {
    uint32_t min = 0, max = kUnbounded;
    const std::string where = in_.where();
    if (in_.take("*")) {
    } else if (in_.take("+")) {
      min = 1;
    } else if (in_.take("?")) {
      max = 1;
    } else if (in_.take("{")) {
      LH_ASSIGN_OR_RETURN(const auto first, in_.take_number(kMostRepeats));
      if (!first) return in_.error("a number");
      min = max = *first;
      if (in_.take(",")) {
        LH_ASSIGN_OR_RETURN(const auto second, in_.take_number(kMostRepeats));
        max = second.value_or(kUnbounded);
      }
      if (!in_.take("}")) return in_.error("'}'");
      if (min > max) return bad_input("{}: expected {{m,n}} with m <= n", where);
    } else {
      return item;
    }
    in_.take("?");  // which way a search goes first does not change what is found
    return syntax_.repeat(item, min, max);
  }

  Result<ExprId> char_class() {
    const bool is_negated = in_.take("^");
    CharSet set;
    while (!in_.take("]")) {
      const std::string where = in_.where();
      LH_ASSIGN_OR_RETURN(CharSet first, character(true));
      if (in_.starts_with("-") && !in_.starts_with("-]")) {
        in_.skip(1);
        LH_ASSIGN_OR_RETURN(const CharSet last, character(true));
        const auto code = [](const CharSet& s) { return s.ranges().front().first; };
        if (!is_one(first) || !is_one(last) || code(first) > code(last))
          return bad_input("{}: expected a range from a character to a later one", where);
        first = CharSet({{code(first), code(last)}});
      }
      set = set.united(first);
    }
    return parts_.chars(is_negated ? set.complement() : set);
  }

  static bool is_one(const CharSet& set) {
    return set.ranges().size() == 1 && set.ranges()[0].first == set.ranges()[0].last;
  }

  // A character, or the set that a backslash stands for.
  Result<CharSet> character(bool in_class) {
    const std::string where = in_.where();
    LH_ASSIGN_OR_RETURN(const char32_t code, in_.take_char(in_class ? "']'" : "a character"));
    if (code != '\\') return one(code);
    LH_ASSIGN_OR_RETURN(const char32_t escaped, in_.take_char("a character after '\\'"));
    switch (escaped) {
      case 'd':
        return digits();
      case 'D':
        return digits().complement();
      case 'w':
        return word_chars();
      case 'W':
        return word_chars().complement();
      case 's':
        return spaces();
      case 'S':
        return spaces().complement();
      case 'n':
        return one('\n');
      case 'r':
        return one('\r');
      case 't':
        return one('\t');
      case 'f':
        return one('\f');
      case 'v':
        return one('\v');
      case 'x':
        return hex(2);
      case 'u':
        return hex(4);
      case '0':
        return one(0);
      case 'b':
        if (in_class) return one('\b');
        break;
      default:
        // Other letters and digits have, or may get, a meaning.
        if (escaped < 0x80 && !word_chars().contains(escaped)) return one(escaped);
    }
    return unsupported(
        "{}: the escape \\{} is not supported", where,
        escaped < 0x80 ? std::string(1, static_cast<char>(escaped)) : "of this kind");
  }

  Result<CharSet> hex(size_t n_digits) {
    const std::string where = in_.where();
    LH_ASSIGN_OR_RETURN(const char32_t code, in_.take_hex(n_digits));
    const CharSet set = one(code);
    if (set.empty()) return unsupported("{}: halves of characters are not supported", where);
    return set;
  }

  Scanner in_;
  JsonParts& parts_;
  Syntax& syntax_;
};

}  // namespace

Result<ExprId> add_pattern(std::string_view pattern, JsonParts& parts) {
  return Parser(pattern, parts).parse();
}

}  // namespace longhaul::grammar
