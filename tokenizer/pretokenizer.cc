#include "tokenizer/pretokenizer.h"

#include <algorithm>
#include <utility>

namespace longhaul {
namespace {

constexpr Scanner kGpt2[] = {scan_gpt2};
constexpr Scanner kLlama3[] = {scan_llama3};
constexpr Scanner kQwen2[] = {scan_qwen2};
constexpr Scanner kTekken[] = {scan_tekken};
constexpr Scanner kGpt4o[] = {scan_gpt4o};
constexpr Scanner kDigitsThenGpt2[] = {scan_digit, scan_gpt2};
constexpr Scanner kDeepseekLlm[] = {scan_newline,        scan_deepseek_letters, scan_deepseek_marks,
                                    scan_trailing_space, scan_deepseek_cjk,     scan_digit_run};
constexpr Scanner kDeepseekCoder[] = {scan_newline, scan_spaced_letters, scan_spaced_punctuation,
                                      scan_deepseek_cjk, scan_digit};
constexpr Scanner kDefault[] = {scan_default_punctuation, scan_gpt2, scan_digit_run,
                                scan_three_ascii_digits};

constexpr PreTokenizer kPreTokenizers[] = {
    {"gpt-2", kGpt2, false, false},
    {"llama-bpe", kLlama3, true, true},
    {"llama3", kLlama3, true, true},
    {"llama-v3", kLlama3, true, true},
    {"dbrx", kLlama3, false, false},
    {"qwen2", kQwen2, false, false},
    {"deepseek-r1-qwen", kQwen2, false, false},
    {"deepseek-llm", kDeepseekLlm, false, false},
    {"deepseek-coder", kDeepseekCoder, false, false},
    {"starcoder", kDigitsThenGpt2, false, false},
    {"smollm", kDigitsThenGpt2, false, false},
    {"tekken", kTekken, true, true},
    {"gpt-4o", kGpt4o, false, false},
    {"default", kDefault, false, false},
};

std::vector<TextChar> decode_text(std::string_view text) {
  std::vector<TextChar> chars;
  chars.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Char c = decode_utf8(text, pos);
    const bool valid = c.state == Utf8State::kValid;
    chars.push_back({c.code, valid ? c.n_bytes : uint8_t{1},
                     valid ? char_category(c.code) : CharCategory::kOther});
    pos += chars.back().n_bytes;
  }
  return chars;
}

// Appends to `ends` where the pieces of text[begin, end) end.
void split_piece(TextChars text, size_t begin, size_t end, Scanner scan,
                 std::vector<size_t>& ends) {
  const TextChars piece = text.subspan(begin, end - begin);
  size_t between = 0;  // the start of what no match has covered
  for (size_t pos = 0; pos < piece.size();) {
    const size_t match_end = scan(piece, pos);
    if (match_end == pos) {
      ++pos;
      continue;
    }
    if (between < pos) ends.push_back(begin + pos);
    ends.push_back(begin + match_end);
    pos = between = match_end;
  }
  if (between < piece.size()) ends.push_back(end);
}

}  // namespace

const PreTokenizer* find_pretokenizer(std::string_view name) {
  const auto* found = std::find_if(std::begin(kPreTokenizers), std::end(kPreTokenizers),
                                   [&](const PreTokenizer& pre) { return pre.name == name; });
  return found == std::end(kPreTokenizers) ? nullptr : found;
}

std::string pretokenizer_names() {
  std::string names;
  for (const PreTokenizer& pre : kPreTokenizers) {
    if (!names.empty()) names += ", ";
    names += pre.name;
  }
  return names;
}

std::vector<std::string_view> pretokenize(const PreTokenizer& pre, std::string_view text) {
  if (text.empty()) return {};
  const std::vector<TextChar> chars = decode_text(text);
  std::vector<size_t> ends{chars.size()};  // in characters
  std::vector<size_t> next;
  for (const Scanner scan : pre.stages) {
    next.clear();
    size_t begin = 0;
    for (const size_t end : ends) {
      split_piece(chars, begin, end, scan, next);
      begin = end;
    }
    std::swap(ends, next);
  }
  std::vector<std::string_view> pieces;
  pieces.reserve(ends.size());
  size_t begin_byte = 0;
  size_t i = 0;
  for (const size_t end : ends) {
    size_t end_byte = begin_byte;
    for (; i < end; ++i) end_byte += chars[i].n_bytes;
    pieces.push_back(text.substr(begin_byte, end_byte - begin_byte));
    begin_byte = end_byte;
  }
  return pieces;
}

}  // namespace longhaul
