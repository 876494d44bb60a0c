// DeepSeek's patterns: the scanners whose classes are lists of code points.
#include <algorithm>
#include <array>
#include <iterator>

#include "tokenizer/scanners.h"

namespace longhaul {
namespace {

struct CodeRange {
  char32_t first;
  char32_t last;
};

// The cased letters as deepseek-llm's pattern lists them (an older Unicode, without Georgian small
// letters). Copies of the pattern that went through NFC have U+1F7D, U+1FBE, U+1FD3, U+1FDB, U+2126
// and U+212A replaced by their canonical equivalents, which turns three ranges around; these are
// the ones meant.
constexpr CodeRange kCasedLetters[] = {
    {0x41, 0x5A},       {0x61, 0x7A},       {0xB5, 0xB5},       {0xC0, 0xD6},
    {0xD8, 0xF6},       {0xF8, 0x1BA},      {0x1BC, 0x1BF},     {0x1C4, 0x293},
    {0x295, 0x2AF},     {0x370, 0x373},     {0x376, 0x377},     {0x37B, 0x37D},
    {0x37F, 0x37F},     {0x386, 0x386},     {0x388, 0x38A},     {0x38C, 0x38C},
    {0x38E, 0x3A1},     {0x3A3, 0x3F5},     {0x3F7, 0x481},     {0x48A, 0x52F},
    {0x531, 0x556},     {0x10A0, 0x10C5},   {0x13A0, 0x13F5},   {0x13F8, 0x13FD},
    {0x1C90, 0x1CBA},   {0x1CBD, 0x1CBF},   {0x1D00, 0x1D2B},   {0x1D6B, 0x1D77},
    {0x1D79, 0x1D9A},   {0x1E00, 0x1F15},   {0x1F18, 0x1F1D},   {0x1F20, 0x1F45},
    {0x1F48, 0x1F4D},   {0x1F50, 0x1F57},   {0x1F59, 0x1F59},   {0x1F5B, 0x1F5B},
    {0x1F5D, 0x1F5D},   {0x1F5F, 0x1F7D},   {0x1F80, 0x1FB4},   {0x1FB6, 0x1FBC},
    {0x1FBE, 0x1FBE},   {0x1FC2, 0x1FC4},   {0x1FC6, 0x1FCC},   {0x1FD0, 0x1FD3},
    {0x1FD6, 0x1FDB},   {0x1FE0, 0x1FEC},   {0x1FF2, 0x1FF4},   {0x1FF6, 0x1FFC},
    {0x2102, 0x2102},   {0x2107, 0x2107},   {0x210A, 0x2113},   {0x2115, 0x2115},
    {0x2119, 0x211D},   {0x2124, 0x2124},   {0x2126, 0x2126},   {0x2128, 0x2128},
    {0x212A, 0x212D},   {0x212F, 0x2134},   {0x2139, 0x2139},   {0x213C, 0x213F},
    {0x2145, 0x2149},   {0x214E, 0x214E},   {0x2183, 0x2184},   {0x2C00, 0x2C7B},
    {0x2C7E, 0x2CE4},   {0x2CEB, 0x2CEE},   {0x2CF2, 0x2CF3},   {0xA640, 0xA66D},
    {0xA680, 0xA69B},   {0xA722, 0xA76F},   {0xA771, 0xA787},   {0xA78B, 0xA78E},
    {0xAB70, 0xABBF},   {0xFB00, 0xFB06},   {0xFB13, 0xFB17},   {0xFF21, 0xFF3A},
    {0xFF41, 0xFF5A},   {0x10400, 0x1044F}, {0x104B0, 0x104D3}, {0x104D8, 0x104FB},
    {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2}, {0x118A0, 0x118DF}, {0x1E900, 0x1E943}};

bool is_cased_letter(const TextChar& c) {
  const auto* range = std::partition_point(std::begin(kCasedLetters), std::end(kCasedLetters),
                                           [&](const CodeRange& r) { return r.last < c.code; });
  return range != std::end(kCasedLetters) && range->first <= c.code;
}

bool is_mark(const TextChar& c) {
  const auto in = [&](char32_t first, char32_t last) { return c.code >= first && c.code <= last; };
  return in('!', '/') || in(':', '~') || in(0xFF01, 0xFF0F) || in(0xFF1A, 0xFF5E) ||
         in(0x2018, 0x201F) || in(0x3000, 0x3002);
}

bool is_punctuation(const TextChar& c) { return c.category == CharCategory::kPunctuation; }

// \s?X+ with X = wanted. White space may itself be in X, so that the blank is optional both ways.
template <class Predicate>
size_t skip_spaced(TextChars text, size_t pos, Predicate wanted) {
  const size_t first = pos + (is_space(text[pos]) ? 1 : 0);
  const bool after_space = first < text.size() && wanted(text[first]);
  return skip_while(text, after_space ? first : pos, wanted);
}

}  // namespace

size_t scan_spaced_letters(TextChars text, size_t pos) { return skip_spaced(text, pos, is_letter); }

size_t scan_spaced_punctuation(TextChars text, size_t pos) {
  return skip_spaced(text, pos, is_punctuation);
}

size_t scan_deepseek_letters(TextChars text, size_t pos) {
  return skip_spaced(text, pos, is_cased_letter);
}

size_t scan_deepseek_marks(TextChars text, size_t pos) { return skip_spaced(text, pos, is_mark); }

size_t scan_deepseek_cjk(TextChars text, size_t pos) {
  return skip_while(text, pos, [](const TextChar& c) {
    return (c.code >= 0x800 && c.code <= 0x9FA5) || (c.code >= 0xAC00 && c.code <= 0xD7FF);
  });
}

size_t scan_trailing_space(TextChars text, size_t pos) {
  // Inside a run the question was answered at its start; asking again would cost a square.
  if (pos > 0 && is_space(text[pos - 1])) return pos;
  const size_t end = skip_while(text, pos, is_space);
  return end == text.size() ? end : pos;
}

}  // namespace longhaul
