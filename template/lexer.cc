#include "template/lexer.h"

#include <algorithm>
#include <utility>

#include "template/characters.h"
#include "template/literals.h"

namespace longhaul::jinja {
namespace {

constexpr size_t kNone = std::string_view::npos;

constexpr std::string_view kOperators[] = {"**", "//", "==", "!=", ">=", "<=", "+", "-", "/",
                                           "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                           ">",  "<",  "=",  ".",  ":",  "|",  ","};

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  Result<std::vector<Token>> run() {
    while (at_ < source_.size()) {
      const size_t tag = find_tag(at_);
      if (tag == kNone) {
        tokens_.push_back({TokenKind::kText, std::string(source_.substr(at_)), at_});
        break;
      }
      LH_RETURN_IF_ERROR(read_tag(tag));
    }
    tokens_.push_back({TokenKind::kSourceEnd, "", source_.size()});
    return std::move(tokens_);
  }

 private:
  bool sees(std::string_view text) const { return source_.substr(at_).starts_with(text); }

  template <class... Args>
  tl::unexpected<Error> fail(size_t at, fmt::format_string<Args...> format, Args&&... args) const {
    return bad_input("{}: {}", place_in(source_, at),
                     fmt::format(format, std::forward<Args>(args)...));
  }

  size_t find_tag(size_t from) const {
    for (size_t at = from; (at = source_.find('{', at)) != kNone; ++at) {
      const std::string_view two = source_.substr(at, 2);
      if (two == "{{" || two == "{%" || two == "{#") return at;
    }
    return kNone;
  }

  // The text up to a tag, without the white space that the tag takes away: all of it with a minus,
  // the blanks of a line that holds nothing else before a block or comment.
  void push_text(size_t end, char sign, bool takes_indent) {
    std::string_view text = source_.substr(at_, end - at_);
    if (sign == '-') {
      text = text.substr(0, space_begin(text));
    } else if (sign != '+' && takes_indent) {
      const size_t line = text.rfind('\n') + 1;  // 0 if there is none
      const bool begins_line = line > 0 || at_line_start_;
      if (begins_line && space_end(text, line) == text.size()) text = text.substr(0, line);
    }
    if (!text.empty()) tokens_.push_back({TokenKind::kText, std::string(text), at_});
  }

  Status read_tag(size_t tag) {
    const char kind = source_[tag + 1];
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    const bool has_sign = sign == '-' || sign == '+';
    push_text(tag, sign, kind != '{');
    at_ = tag + (has_sign ? 3 : 2);
    if (kind == '#') return skip_comment(tag);
    if (kind == '%' && read_keyword("raw")) return read_raw(tag);
    tokens_.push_back({TokenKind::kBegin, kind == '%' ? "%" : "}", tag});
    return read_code(tag, kind == '%' ? "%}" : "}}");
  }

  // Ends a tag at `end`, the offset behind it: white space goes with a minus, a newline otherwise
  // (not behind an expression).
  void end_tag(size_t end, char sign, bool takes_newline) {
    at_ = end;
    if (sign == '-') {
      at_ = space_end(source_, at_);
    } else if (sign != '+' && takes_newline && sees("\n")) {
      ++at_;
    }
    at_line_start_ = source_[at_ - 1] == '\n';
  }

  Status skip_comment(size_t tag) {
    const size_t end = source_.find("#}", at_);
    if (end == kNone) return fail(tag, "expected #}} at the comment's end, found none");
    end_tag(end + 2, end > at_ ? source_[end - 1] : '\0', true);
    return {};
  }

  // `NAME %}` up to its end, if that is what comes; `at_` is then behind it. A newline stays.
  bool read_keyword(std::string_view name, bool takes_newline = false) {
    const size_t begin = space_end(source_, at_);
    if (!source_.substr(begin).starts_with(name)) return false;
    size_t end = space_end(source_, begin + name.size());
    const char sign = end < source_.size() ? source_[end] : '\0';
    if (sign == '-' || (sign == '+' && takes_newline)) ++end;
    if (!source_.substr(end).starts_with("%}")) return false;
    end_tag(end + 2, sign, takes_newline);
    return true;
  }

  Status read_raw(size_t tag) {
    const size_t begin = at_;
    const bool begins_line = at_line_start_;
    for (size_t at = begin; (at = source_.find("{%", at)) != kNone; at += 2) {
      const char sign = at + 2 < source_.size() ? source_[at + 2] : '\0';
      at_ = at + (sign == '-' || sign == '+' ? 3 : 2);
      if (!read_keyword("endraw", true)) continue;
      const size_t next = std::exchange(at_, begin);
      const bool next_begins_line = std::exchange(at_line_start_, begins_line);
      push_text(at, sign, true);
      at_ = next;
      at_line_start_ = next_begins_line;
      return {};
    }
    return fail(tag, "expected {{% endraw %}}, found none");
  }

  // The tokens of a tag and its end, which brackets that are open hide.
  Status read_code(size_t tag, std::string_view end) {
    std::string open;
    for (;;) {
      at_ = space_end(source_, at_);
      if (at_ == source_.size()) return fail(tag, "expected {} at the tag's end, found none", end);
      const char sign = source_[at_];
      const bool has_sign = sign == '-' || (sign == '+' && end == "%}");
      if (open.empty() && source_.substr(at_ + (has_sign ? 1 : 0)).starts_with(end)) {
        tokens_.push_back({TokenKind::kEnd, std::string(end.substr(0, 1)), at_});
        end_tag(at_ + (has_sign ? 3 : 2), sign, end == "%}");
        return {};
      }
      LH_RETURN_IF_ERROR(read_token(open));
    }
  }

  Status read_token(std::string& open) {
    const size_t begin = at_;
    const char c = source_[at_];
    if (starts_name(c)) {
      while (at_ < source_.size() && (starts_name(source_[at_]) || is_digit(source_[at_]))) ++at_;
      push(TokenKind::kName, begin);
    } else if (is_digit(c)) {
      bool is_real = false;
      at_ += number_length(source_.substr(at_), is_real);
      push(is_real ? TokenKind::kReal : TokenKind::kInteger, begin);
    } else if (c == '"' || c == '\'') {
      return read_string(c);
    } else {
      return read_operator(open);
    }
    return {};
  }

  void push(TokenKind kind, size_t begin) {
    tokens_.push_back({kind, std::string(source_.substr(begin, at_ - begin)), begin});
  }

  Status read_string(char quote) {
    const size_t begin = at_++;
    while (at_ < source_.size() && source_[at_] != quote) at_ += source_[at_] == '\\' ? 2 : 1;
    if (at_ >= source_.size())
      return fail(begin, "expected {} at the string's end, found none", quote);
    auto text = unescape(source_.substr(begin + 1, at_ - begin - 1));
    if (!text) return fail(begin, "{}", text.error().message);
    ++at_;
    tokens_.push_back({TokenKind::kString, std::move(*text), begin});
    return {};
  }

  Status read_operator(std::string& open) {
    const auto found = std::find_if(std::begin(kOperators), std::end(kOperators),
                                    [this](std::string_view text) { return sees(text); });
    if (found == std::end(kOperators)) {
      return fail(at_, "unexpected character '{}'",
                  source_.substr(at_, character_bytes(source_, at_)));
    }
    const char c = found->front();
    if (c == '(' || c == '[' || c == '{') open += c == '(' ? ')' : c == '[' ? ']' : '}';
    if (c == ')' || c == ']' || c == '}') {
      if (open.empty() || open.back() != c) return fail(at_, "unexpected '{}'", c);
      open.pop_back();
    }
    const size_t begin = at_;
    at_ += found->size();
    push(TokenKind::kOperator, begin);
    return {};
  }

  std::string_view source_;
  size_t at_ = 0;
  bool at_line_start_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::string normalize_source(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text += source[i];
    } else {
      text += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

std::string place_in(std::string_view source, size_t at) {
  const std::string_view before = source.substr(0, at);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t column = 1 + count_characters(before.substr(before.rfind('\n') + 1));
  return fmt::format("line {}, column {}", line, column);
}

Result<std::vector<Token>> tokenize(std::string_view source) { return Lexer(source).run(); }

}  // namespace longhaul::jinja
