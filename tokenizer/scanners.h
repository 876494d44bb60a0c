// Hand-written scanners for the published pre-tokenizer patterns. Each is a function of a text and
// a position, takes time in proportion to what it matches, and neither recurses nor backtracks: a
// megabyte of one character costs what a megabyte of prose does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tokenizer/unicode.h"

namespace longhaul {

// One character of the text being split. A byte that is not UTF-8 stands alone, as a
// kReplacementChar of category kOther and one byte.
struct TextChar {
  char32_t code;
  uint8_t n_bytes;
  CharCategory category;
};

using TextChars = std::span<const TextChar>;

// Returns the end of the match that starts at `pos` (pos < text.size()), or `pos` if there is none.
// Text outside `text` does not exist for a scanner.
using Scanner = size_t (*)(TextChars text, size_t pos);

inline bool is_letter(const TextChar& c) {
  return c.category == CharCategory::kUpperLetter || c.category == CharCategory::kLowerLetter ||
         c.category == CharCategory::kCaselessLetter;
}
inline bool is_number(const TextChar& c) { return c.category == CharCategory::kNumber; }
inline bool is_space(const TextChar& c) { return is_white_space(c.code); }
inline bool is_newline(const TextChar& c) { return c.code == '\r' || c.code == '\n'; }
// [^\s\p{L}\p{N}]
inline bool is_symbol(const TextChar& c) { return !is_space(c) && !is_letter(c) && !is_number(c); }

// The first position at or after `pos` where `wanted` does not hold.
template <class Predicate>
size_t skip_while(TextChars text, size_t pos, Predicate wanted) {
  while (pos < text.size() && wanted(text[pos])) ++pos;
  return pos;
}

// 's 't 're 've 'm 'll 'd; with `any_case` also their case variants.
size_t scan_contraction(TextChars text, size_t pos, bool any_case);
// \s+(?!\S)|\s+ : a run of white space, less its last character if something follows and one is
// left.
size_t scan_space_run(TextChars text, size_t pos);
// \s*[\r\n]+|\s+(?!\S)|\s+ : the same, but a run with newlines ends after its last newline.
size_t scan_space_run_with_newlines(TextChars text, size_t pos);

// gpt-2: contractions, words, numbers and symbols with an optional blank before, white space.
size_t scan_gpt2(TextChars text, size_t pos);
// llama-bpe: any one character may lead a word, numbers come in groups of up to three digits,
// symbols take the newlines that follow.
size_t scan_llama3(TextChars text, size_t pos);
// qwen2: as llama-bpe, with single digits.
size_t scan_qwen2(TextChars text, size_t pos);
// tekken: words end where a capital follows a small letter; no contractions; single digits.
size_t scan_tekken(TextChars text, size_t pos);
// gpt-4o (o200k): the same with contractions behind words, and digits by threes.
size_t scan_gpt4o(TextChars text, size_t pos);

// \p{N}
size_t scan_digit(TextChars text, size_t pos);
// \p{N}+
size_t scan_digit_run(TextChars text, size_t pos);
// [0-9][0-9][0-9]
size_t scan_three_ascii_digits(TextChars text, size_t pos);
// [\r\n]
size_t scan_newline(TextChars text, size_t pos);
// \s+$
size_t scan_trailing_space(TextChars text, size_t pos);
// \s?\p{L}+
size_t scan_spaced_letters(TextChars text, size_t pos);
// \s?\p{P}+
size_t scan_spaced_punctuation(TextChars text, size_t pos);
// [\p{P}$+<=>^~|]+
size_t scan_default_punctuation(TextChars text, size_t pos);
// The classes that DeepSeek's patterns list: cased letters, ASCII and full-width marks, U+0800 to
// U+9FA5 with U+AC00 to U+D7FF.
size_t scan_deepseek_letters(TextChars text, size_t pos);
size_t scan_deepseek_marks(TextChars text, size_t pos);
size_t scan_deepseek_cjk(TextChars text, size_t pos);

}  // namespace longhaul
