#include "grammar/gbnf_parser.h"

#include <map>

#include "grammar/limits.h"
#include "grammar/scanner.h"

namespace longhaul::grammar {
namespace {

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

class Parser {
 public:
  Parser(std::string_view text, Syntax& syntax) : in_(text), syntax_(syntax) {}

  Result<RuleId> parse() {
    for (skip_space(true); !in_.at_end(); skip_space(true)) LH_RETURN_IF_ERROR(rule());
    for (const auto& [name, use] : uses_) {
      if (syntax_.rules()[use.rule].is_defined) continue;
      return bad_input("{}: expected the name of a rule, found '{}', which has none", use.where,
                       name);
    }
    const auto root = uses_.find("root");
    if (root == uses_.end()) return bad_input("expected a rule named root, found none");
    return root->second.rule;
  }

 private:
  struct Use {
    RuleId rule;
    std::string where;  // of the first
  };

  // Blanks and comments; with line breaks where a rule cannot end.
  void skip_space(bool with_breaks) {
    while (!in_.at_end()) {
      const char c = in_.peek();
      if (c == '#') {
        while (!in_.at_end() && in_.peek() != '\n' && in_.peek() != '\r') in_.skip(1);
      } else if (c == ' ' || c == '\t' || (with_breaks && (c == '\n' || c == '\r'))) {
        in_.skip(1);
      } else {
        return;
      }
    }
  }

  Result<std::string> name() {
    const size_t begin = in_.pos();
    while (is_name_char(in_.peek())) in_.skip(1);
    if (in_.pos() == begin) return in_.error("the name of a rule");
    return std::string(in_.since(begin));
  }

  RuleId rule_named(const std::string& name, const std::string& where) {
    const auto known = uses_.find(name);
    if (known != uses_.end()) return known->second.rule;
    const RuleId id = syntax_.add_rule(name);
    uses_.emplace(name, Use{id, where});
    return id;
  }

  Status rule() {
    const std::string where = in_.where();
    LH_ASSIGN_OR_RETURN(const std::string its_name, name());
    skip_space(false);
    if (!in_.take("::=")) return in_.error("::= after the name of a rule");
    skip_space(true);
    const RuleId id = rule_named(its_name, where);
    if (syntax_.rules()[id].is_defined)
      return bad_input("{}: expected rules of different names, found '{}' again", where, its_name);
    LH_ASSIGN_OR_RETURN(const ExprId body, alternatives(0));
    syntax_.define(id, body);
    if (!in_.at_end() && in_.peek() != '\n' && in_.peek() != '\r')
      return in_.error("the end of a rule");
    return syntax_.check_size();
  }

  // True before a '|', which may stand in the next line.
  bool take_bar(bool is_group) {
    const size_t pos = in_.pos();
    skip_space(true);
    if (in_.take("|")) return true;
    if (!is_group) in_.go_back_to(pos);
    return false;
  }

  Result<ExprId> alternatives(size_t depth) {
    if (depth > kMostNesting)
      return bad_input("{}: expected at most {} groups within groups, found more", in_.where(),
                       kMostNesting);
    std::vector<ExprId> choices;
    do {
      if (!choices.empty()) skip_space(true);
      LH_ASSIGN_OR_RETURN(const ExprId choice, sequence(depth));
      choices.push_back(choice);
    } while (take_bar(depth > 0));
    return syntax_.choice(std::move(choices));
  }

  Result<ExprId> sequence(size_t depth) {
    std::vector<ExprId> parts;
    while (true) {
      skip_space(depth > 0);
      const char c = in_.peek();
      if (in_.at_end() || c == '|' || c == ')' || c == '\n' || c == '\r') break;
      LH_ASSIGN_OR_RETURN(ExprId part, element(depth));
      // "a"*{2}: every sign repeats what stands before it.
      while (true) {
        const size_t pos = in_.pos();
        skip_space(depth > 0);
        LH_ASSIGN_OR_RETURN(const bool is_repeated, repetition(part));
        if (is_repeated) continue;
        in_.go_back_to(pos);
        break;
      }
      parts.push_back(part);
    }
    return syntax_.sequence(std::move(parts));
  }

  Result<ExprId> element(size_t depth) {
    if (in_.take("\"")) return literal();
    if (in_.take("[")) return char_class();
    if (in_.take(".")) return syntax_.chars(CharSet::all());
    if (in_.take("(")) {
      LH_ASSIGN_OR_RETURN(const ExprId group, alternatives(depth + 1));
      skip_space(true);
      if (!in_.take(")")) return in_.error("')'");
      return group;
    }
    if (in_.peek() == '<' || in_.starts_with("!<"))
      return unsupported("{}: tokens in a grammar are not supported: expected text", in_.where());
    const std::string where = in_.where();
    if (!is_name_char(in_.peek()))
      return in_.error("a text, a class of characters, a group or the name of a rule");
    LH_ASSIGN_OR_RETURN(const std::string its_name, name());
    return syntax_.rule(rule_named(its_name, where));
  }

  // What follows a part and says how often it comes. False: nothing of that kind.
  Result<bool> repetition(ExprId& part) {
    uint32_t min = 0, max = kUnbounded;
    if (in_.take("*")) {
    } else if (in_.take("+")) {
      min = 1;
    } else if (in_.take("?")) {
      max = 1;
    } else if (in_.take("{")) {
      LH_RETURN_IF_ERROR(bounds(min, max));
    } else {
      return false;
    }
    part = syntax_.repeat(part, min, max);
    return true;
  }

  // m}, m,} or m,n}
  Status bounds(uint32_t& min, uint32_t& max) {
    const std::string where = in_.where();
    skip_space(false);
    LH_ASSIGN_OR_RETURN(const auto first, in_.take_number(kMostRepeats));
    skip_space(false);
    const bool has_comma = in_.take(",");
    if (!first && !has_comma) return in_.error("a number");
    min = first.value_or(0);
    max = min;
    if (has_comma) {
      skip_space(false);
      LH_ASSIGN_OR_RETURN(const auto second, in_.take_number(kMostRepeats));
      skip_space(false);
      max = second.value_or(kUnbounded);
    }
    if (!in_.take("}")) return in_.error("'}'");
    if (min > max)
      return bad_input("{}: expected {{m,n}} with m <= n, found {} and {}", where, min, max);
    return {};
  }

  Result<ExprId> literal() {
    std::string bytes;
    while (!in_.take("\"")) {
      LH_ASSIGN_OR_RETURN(const char32_t code, character("the rest of a text, and '\"'"));
      append_utf8(bytes, code);
    }
    return syntax_.text(bytes);
  }

  // [^a-z_], after its bracket.
  Result<ExprId> char_class() {
    const bool is_negated = in_.take("^");
    std::vector<CharRange> ranges;
    while (!in_.take("]")) {
      CharRange range;
      const std::string where = in_.where();
      LH_ASSIGN_OR_RETURN(range.first, character("the rest of a class, and ']'"));
      range.last = range.first;
      if (in_.starts_with("-") && !in_.starts_with("-]")) {
        in_.skip(1);
        LH_ASSIGN_OR_RETURN(range.last, character("the end of a range"));
      }
      if (range.first > range.last)
        return bad_input("{}: expected a range whose first character is not behind its last",
                         where);
      ranges.push_back(range);
    }
    CharSet set(std::move(ranges));
    return syntax_.chars(is_negated ? set.complement() : std::move(set));
  }

  // A character, or what a backslash stands for.
  Result<char32_t> character(std::string_view expected) {
    const std::string where = in_.where();
    LH_ASSIGN_OR_RETURN(const char32_t code, in_.take_char(expected));
    if (code != '\\') return code;
    LH_ASSIGN_OR_RETURN(const char32_t escaped, in_.take_char("a character after '\\'"));
    switch (escaped) {
      case 'n':
        return U'\n';
      case 'r':
        return U'\r';
      case 't':
        return U'\t';
      case 'x':
        return code_point(2, where);
      case 'u':
        return code_point(4, where);
      case 'U':
        return code_point(8, where);
      case '\\':
      case '"':
      case '[':
      case ']':
      case '^':
      case '-':
        return escaped;
      default:
        return bad_input(
            "{}: expected one of \\n \\r \\t \\\\ \\\" \\[ \\] \\^ \\- \\x \\u \\U, found another "
            "escape",
            where);
    }
  }

  Result<char32_t> code_point(size_t n_digits, const std::string& where) {
    LH_ASSIGN_OR_RETURN(const char32_t code, in_.take_hex(n_digits));
    if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
      return bad_input("{}: expected a character of Unicode, found U+{:04X}", where,
                       static_cast<uint32_t>(code));
    return code;
  }

  Scanner in_;
  Syntax& syntax_;
  std::map<std::string, Use> uses_;
};

}  // namespace

Result<RuleId> parse_gbnf_rules(std::string_view text, Syntax& syntax) {
  if (text.size() > kMostSourceBytes)
    return bad_input("expected a grammar of at most {} bytes, found {}", kMostSourceBytes,
                     text.size());
  return Parser(text, syntax).parse();
}

}  // namespace longhaul::grammar
