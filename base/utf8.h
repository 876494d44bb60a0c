// UTF-8, with words for what is wrong.
#pragma once

#include <algorithm>
#include <cstddef>
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

// True for the bytes of a character but the first.
inline bool continues_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U;
}

// Characters of a valid text: code points.
inline size_t n_characters(std::string_view text) {
  return text.size() -
         static_cast<size_t>(std::count_if(text.begin(), text.end(), continues_character));
}

}  // namespace longhaul
