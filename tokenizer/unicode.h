// Just enough Unicode for tokenizing: UTF-8 decoding that says what is wrong, general categories,
// white space.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace longhaul {

inline constexpr char32_t kReplacementChar = 0xFFFD;

enum class Utf8State : uint8_t {
  kValid,
  kInvalid,    // no continuation could make these bytes a character
  kTruncated,  // the text ends inside what may become a character
};

// The character at one place of a text. If it is not valid, `code` is kReplacementChar and
// `n_bytes` the longest prefix of a character found there, at least 1 (Unicode 15, section 3.9,
// "maximal subpart": one replacement character stands for it).
struct Utf8Char {
  char32_t code = kReplacementChar;
  uint8_t n_bytes = 1;
  Utf8State state = Utf8State::kInvalid;
};

// Decodes the character at text[pos]; pos < text.size(). Overlong forms, surrogates and codes above
// U+10FFFF are invalid.
Utf8Char decode_utf8(std::string_view text, size_t pos);

// Appends a code point up to U+10FFFF.
void append_utf8(std::string& text, char32_t code);

// General categories, those that no pre-tokenizer tells apart put together. The numbers are those
// of tools/make_unicode_tables.py.
enum class CharCategory : uint8_t {
  kOther = 0,           // symbols, separators, controls, unassigned
  kUpperLetter = 1,     // Lu, Lt
  kLowerLetter = 2,     // Ll
  kCaselessLetter = 3,  // Lm, Lo
  kMark = 4,
  kNumber = 5,
  kPunctuation = 6,
};

CharCategory char_category(char32_t code);

// The property White_Space, which `\s` means in the published patterns.
bool is_white_space(char32_t code);

}  // namespace longhaul
