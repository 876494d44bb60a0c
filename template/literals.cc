#include "template/literals.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "template/characters.h"

namespace longhaul::jinja {
namespace {

// Length of digits that single underscores may part; 0 if there is none.
size_t digits_length(std::string_view text, int base) {
  const auto is_one = [base](char c) {
    const int value = is_digit(c)                          ? c - '0'
                      : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                           : 99;
    return value < base;
  };
  size_t n = 0;
  while (n < text.size()) {
    const size_t at = text[n] == '_' && n > 0 ? n + 1 : n;
    if (at >= text.size() || !is_one(text[at])) break;
    n = at + 1;
  }
  return n;
}

int base_of(std::string_view text) {
  if (text.size() < 3 || text[0] != '0') return 10;
  const char letter = static_cast<char>(text[1] | 32);
  return letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 10;
}

std::string without_underscores(std::string_view text) {
  std::string digits(text);
  digits.erase(std::remove(digits.begin(), digits.end(), '_'), digits.end());
  return digits;
}

// The code of the escape at the text's beginning (behind the backslash) that is `n` digits long.
Result<uint32_t> read_code(std::string_view digits, int base, size_t n) {
  uint32_t code = 0;
  const char* end = digits.data() + std::min(n, digits.size());
  const auto [last, error] = std::from_chars(digits.data(), end, code, base);
  if (error != std::errc() || last != digits.data() + n)
    return bad_input("expected {} digits in an escape, found '{}'", n, digits.substr(0, n));
  return code;
}

}  // namespace

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool starts_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0;
}

size_t number_length(std::string_view text, bool& is_real) {
  is_real = false;
  if (const int base = base_of(text); base != 10) {
    const size_t n = digits_length(text.substr(2), base);
    if (n > 0) return 2 + n;
  }
  size_t n = digits_length(text, 10);
  const size_t fraction =
      n < text.size() && text[n] == '.' ? digits_length(text.substr(n + 1), 10) : 0;
  if (fraction > 0) {
    is_real = true;
    n += 1 + fraction;
  }
  if (n < text.size() && (text[n] | 32) == 'e') {
    const size_t sign = n + 1 < text.size() && (text[n + 1] == '+' || text[n + 1] == '-') ? 1 : 0;
    const size_t exponent = digits_length(text.substr(std::min(n + 1 + sign, text.size())), 10);
    if (exponent > 0) {
      is_real = true;
      n += 1 + sign + exponent;
    }
  }
  return n;
}

Result<int64_t> parse_integer(std::string_view text) {
  const int base = base_of(text);
  const std::string digits = without_underscores(base == 10 ? text : text.substr(2));
  int64_t value = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (error != std::errc() || end != digits.data() + digits.size())
    return bad_input("expected an integer of 64 bits, found {}", text);
  return value;
}

double parse_real(std::string_view text) {
  const std::string digits = without_underscores(text);
  double value = 0;  // beyond its range from_chars leaves it: infinity then, as in Python
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc::result_out_of_range) return value;
  const size_t exponent = digits.find_first_of("eE");
  const bool is_small = exponent != std::string::npos && digits[exponent + 1] == '-';
  return is_small ? 0 : std::numeric_limits<double>::infinity();
}

Result<std::string> unescape(std::string_view text) {
  constexpr std::string_view kLetters = "abfnrtv\\'\"";
  constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\' || at + 1 == text.size()) {
      out += text[at];
      continue;
    }
    const char c = text[++at];
    const size_t n_digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    uint32_t code = 0;
    if (n_digits > 0) {
      LH_ASSIGN_OR_RETURN(code, read_code(text.substr(at + 1), 16, n_digits));
      at += n_digits;
    } else if (c >= '0' && c <= '7') {
      size_t n = 1;
      while (n < 3 && at + n < text.size() && text[at + n] >= '0' && text[at + n] <= '7') ++n;
      LH_ASSIGN_OR_RETURN(code, read_code(text.substr(at), 8, n));
      at += n - 1;
    } else if (const size_t letter = kLetters.find(c); letter != std::string_view::npos) {
      out += kMeanings[letter];
      continue;
    } else if (c == 'N') {
      return make_error(ErrorCode::kUnsupported, "escapes by a character's name are not supported");
    } else {
      if (c != '\n') out += {'\\', c};  // a backslash at a line's end joins the lines
      continue;
    }
    const std::string bytes = encode_character(code);
    if (bytes.empty())
      return bad_input("expected an escape of a character, found code {:#x}", code);
    out += bytes;
  }
  return out;
}

}  // namespace longhaul::jinja
