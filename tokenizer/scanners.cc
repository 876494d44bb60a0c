#include "tokenizer/scanners.h"

#include <algorithm>

namespace longhaul {
namespace {

char32_t fold_case(char32_t code) {
  if (code >= 'A' && code <= 'Z') return code + ('a' - 'A');
  return code == 0x17F ? 's' : code;  // LATIN SMALL LETTER LONG S is a case variant of s
}

// The end of a run of white space, less one character if text follows and another is left.
size_t without_last_blank(TextChars text, size_t pos, size_t run_end) {
  return run_end < text.size() && run_end - pos > 1 ? run_end - 1 : run_end;
}

// The part that llama-bpe and qwen2 share; they differ in the digits of one piece.
size_t scan_word_or_symbols(TextChars text, size_t pos, size_t max_digits) {
  if (const size_t end = scan_contraction(text, pos, true); end != pos) return end;

  const bool leads_word = !is_letter(text[pos]) && !is_number(text[pos]) && !is_newline(text[pos]);
  const size_t word = pos + (leads_word ? 1 : 0);
  if (word < text.size() && is_letter(text[word])) return skip_while(text, word, is_letter);

  if (is_number(text[pos])) {
    return skip_while(text.first(std::min(text.size(), pos + max_digits)), pos, is_number);
  }
  const size_t symbols = pos + (text[pos].code == ' ' ? 1 : 0);
  if (symbols < text.size() && is_symbol(text[symbols])) {
    return skip_while(text, skip_while(text, symbols, is_symbol), is_newline);
  }
  return scan_space_run_with_newlines(text, pos);
}

// The letters that may stand before the last small letter of a tekken word, and after the first
// one.
bool is_word_start(const TextChar& c) {
  return c.category == CharCategory::kUpperLetter || c.category == CharCategory::kCaselessLetter ||
         c.category == CharCategory::kMark;
}
bool is_word_end(const TextChar& c) {
  return c.category == CharCategory::kLowerLetter || c.category == CharCategory::kCaselessLetter ||
         c.category == CharCategory::kMark;
}

// S*E+ with S = is_word_start and E = is_word_end, at `pos`; the end of the match or `pos`. After
// the longest run of S, a character of E continues it; if there is none, the match ends after the
// last character of the run that is in both, since everything behind it is capitals.
size_t scan_tekken_word(TextChars text, size_t pos) {
  size_t end = pos;
  size_t i = pos;
  for (; i < text.size() && is_word_start(text[i]); ++i) {
    if (is_word_end(text[i])) end = i + 1;
  }
  return i < text.size() && is_word_end(text[i]) ? skip_while(text, i, is_word_end) : end;
}

}  // namespace

size_t scan_contraction(TextChars text, size_t pos, bool any_case) {
  if (text[pos].code != '\'' || pos + 1 >= text.size()) return pos;
  const auto letter = [&](size_t i) -> char32_t {
    if (i >= text.size()) return 0;
    return any_case ? fold_case(text[i].code) : text[i].code;
  };
  const char32_t first = letter(pos + 1);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return pos + 2;
  const char32_t second = letter(pos + 2);
  const bool pair = (first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
                    (first == 'l' && second == 'l');
  return pair ? pos + 3 : pos;
}

size_t scan_space_run(TextChars text, size_t pos) {
  return without_last_blank(text, pos, skip_while(text, pos, is_space));
}

size_t scan_space_run_with_newlines(TextChars text, size_t pos) {
  size_t after_newline = pos;
  size_t end = pos;
  for (; end < text.size() && is_space(text[end]); ++end) {
    if (is_newline(text[end])) after_newline = end + 1;
  }
  return after_newline != pos ? after_newline : without_last_blank(text, pos, end);
}

size_t scan_gpt2(TextChars text, size_t pos) {
  if (const size_t end = scan_contraction(text, pos, false); end != pos) return end;
  const size_t first = pos + (text[pos].code == ' ' ? 1 : 0);
  if (first < text.size()) {
    if (is_letter(text[first])) return skip_while(text, first, is_letter);
    if (is_number(text[first])) return skip_while(text, first, is_number);
    if (is_symbol(text[first])) return skip_while(text, first, is_symbol);
  }
  return scan_space_run(text, pos);
}

size_t scan_llama3(TextChars text, size_t pos) { return scan_word_or_symbols(text, pos, 3); }

size_t scan_qwen2(TextChars text, size_t pos) { return scan_word_or_symbols(text, pos, 1); }

namespace {

// [^\r\n\p{L}\p{N}]?S*E+|[^\r\n\p{L}\p{N}]?S+E*; pos: there is none.
size_t scan_led_word(TextChars text, size_t pos) {
  const bool leads_word = !is_letter(text[pos]) && !is_number(text[pos]) && !is_newline(text[pos]);
  const size_t word = pos + (leads_word ? 1 : 0);
  if (const size_t end = scan_tekken_word(text, word); end != word) return end;
  // A mark may lead a word and be one: alone, since no word follows it.
  if (text[pos].category == CharCategory::kMark) return pos + 1;
  // No character of E: capitals only.
  const size_t end = skip_while(text, word, is_word_start);
  return end == word ? pos : end;
}

// \p{N}{1,n_digits}| ?[^\s\p{L}\p{N}]+[\r\n/]*|(white space)
size_t scan_between_words(TextChars text, size_t pos, size_t n_digits) {
  if (is_number(text[pos])) {
    const size_t end = std::min(text.size(), pos + n_digits);
    return skip_while(text.first(end), pos, is_number);
  }
  const size_t symbols = pos + (text[pos].code == ' ' ? 1 : 0);
  if (symbols < text.size() && is_symbol(text[symbols])) {
    return skip_while(text, skip_while(text, symbols, is_symbol),
                      [](const TextChar& c) { return is_newline(c) || c.code == '/'; });
  }
  return scan_space_run_with_newlines(text, pos);
}

}  // namespace

size_t scan_tekken(TextChars text, size_t pos) {
  if (const size_t end = scan_led_word(text, pos); end != pos) return end;
  return scan_between_words(text, pos, 1);
}

size_t scan_gpt4o(TextChars text, size_t pos) {
  const size_t end = scan_led_word(text, pos);
  if (end == pos) return scan_between_words(text, pos, 3);
  return end < text.size() ? scan_contraction(text, end, true) : end;
}

size_t scan_digit(TextChars text, size_t pos) { return pos + (is_number(text[pos]) ? 1 : 0); }

size_t scan_digit_run(TextChars text, size_t pos) { return skip_while(text, pos, is_number); }

size_t scan_three_ascii_digits(TextChars text, size_t pos) {
  if (text.size() - pos < 3) return pos;
  const auto is_ascii_digit = [](const TextChar& c) { return c.code >= '0' && c.code <= '9'; };
  return skip_while(text.first(pos + 3), pos, is_ascii_digit) == pos + 3 ? pos + 3 : pos;
}

size_t scan_newline(TextChars text, size_t pos) { return pos + (is_newline(text[pos]) ? 1 : 0); }

size_t scan_default_punctuation(TextChars text, size_t pos) {
  return skip_while(text, pos, [](const TextChar& c) {
    if (c.category == CharCategory::kPunctuation) return true;
    return c.code == '$' || c.code == '+' || c.code == '<' || c.code == '=' || c.code == '>' ||
           c.code == '^' || c.code == '~' || c.code == '|';
  });
}

}  // namespace longhaul
