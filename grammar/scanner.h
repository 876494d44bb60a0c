// A place in a text that is being parsed, with words for where it is.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/utf8.h"

namespace longhaul::grammar {

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  bool at_end() const { return pos_ == text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[pos_]; }
  bool starts_with(std::string_view word) const { return text_.substr(pos_).starts_with(word); }
  void skip(size_t n_bytes) { pos_ = std::min(pos_ + n_bytes, text_.size()); }
  bool take(std::string_view word) {
    if (!starts_with(word)) return false;
    skip(word.size());
    return true;
  }
  size_t pos() const { return pos_; }
  void go_back_to(size_t pos) { pos_ = pos; }
  std::string_view since(size_t pos) const { return text_.substr(pos, pos_ - pos); }

  // The next character. Error: the end, or no UTF-8.
  Result<char32_t> take_char(std::string_view expected) {
    if (at_end()) return error(expected);
    const Utf8Char found = decode_utf8(text_, pos_);
    if (found.state != Utf8State::kValid) return error("UTF-8");
    pos_ += found.n_bytes;
    return found.code;
  }

  // Exactly n_digits hexadecimal digits.
  Result<char32_t> take_hex(size_t n_digits) {
    char32_t code = 0;
    for (size_t i = 0; i < n_digits; ++i, skip(1)) {
      const std::optional<unsigned> digit = hex_digit(peek());
      if (!digit) return error("a hexadecimal digit");
      code = code << 4 | *digit;
    }
    return code;
  }

  // A number in decimal digits up to `most`; nothing if there is no digit here.
  Result<std::optional<uint32_t>> take_number(uint32_t most) {
    std::optional<uint32_t> number;
    for (; peek() >= '0' && peek() <= '9'; skip(1)) {
      const uint64_t larger =
          uint64_t{number.value_or(0)} * 10 + static_cast<unsigned>(peek() - '0');
      if (larger > most) return error("a number of at most " + std::to_string(most));
      number = static_cast<uint32_t>(larger);
    }
    return number;
  }

  // "line 2, column 5: expected .., found .."
  tl::unexpected<Error> error(std::string_view expected) const {
    return bad_input("{}: expected {}, found {}", where(), expected, found());
  }
  std::string where() const {
    const std::string_view before = text_.substr(0, pos_);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const size_t line_begin = before.rfind('\n') + 1;  // npos + 1 is 0
    return fmt::format("line {}, column {}", line, before.size() - line_begin + 1);
  }

 private:
  static std::optional<unsigned> hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return {};
  }
  std::string found() const {
    if (at_end()) return "the end";
    const Utf8Char c = decode_utf8(text_, pos_);
    if (c.state != Utf8State::kValid)
      return fmt::format("the byte 0x{:02x}", static_cast<uint8_t>(peek()));
    if (c.code < 0x20 || c.code == 0x7F)
      return fmt::format("U+{:04X}", static_cast<uint32_t>(c.code));
    return fmt::format("'{}'", text_.substr(pos_, c.n_bytes));
  }

  std::string_view text_;
  size_t pos_ = 0;
};

}  // namespace longhaul::grammar
