// The "gpt-2" pre-tokeniser's rule: 's|'t|'re|'ve|'m|'ll|'d| ?letters| ?digits| ?others|spaces.
#include <algorithm>
#include <array>

#include "trainer/vocabulary.h"

namespace longhaul {
namespace {

enum class Kind { kLetter, kDigit, kSpace, kOther };

// Kind of the UTF-8 character at `text[i]`; `size` is its length in bytes.
Kind kind_at(std::string_view text, size_t i, size_t& size) {
  const auto byte = static_cast<unsigned char>(text[i]);
  size = 1;
  if (byte < 0x80) {
    if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z') return Kind::kLetter;
    if (byte >= '0' && byte <= '9') return Kind::kDigit;
    return byte == ' ' || (byte >= '\t' && byte <= '\r') ? Kind::kSpace : Kind::kOther;
  }
  const size_t wanted = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
  size = std::min(wanted, text.size() - i);
  if (size < 2) return Kind::kOther;
  const auto second = static_cast<unsigned char>(text[i + 1]);
  const bool symbol = (byte == 0xe2 && second < 0xb0) || (byte == 0xc2 && second < 0xc0);
  return symbol ? Kind::kOther : Kind::kLetter;
}

// End of the run of characters of `kind` that starts at `i`.
size_t run_end(std::string_view text, size_t i, Kind kind) {
  size_t size = 0;
  while (i < text.size() && kind_at(text, i, size) == kind) i += size;
  return i;
}

size_t contraction(std::string_view text, size_t i) {
  for (const std::string_view suffix : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}) {
    if (text.substr(i, suffix.size()) == suffix) return suffix.size();
  }
  return 0;
}

}  // namespace

std::vector<std::string_view> split_pieces(std::string_view text) {
  std::vector<std::string_view> pieces;
  size_t size = 0;
  for (size_t i = 0; i < text.size();) {
    size_t end = i + contraction(text, i);
    if (end == i) {
      const size_t word = text[i] == ' ' && i + 1 < text.size() ? i + 1 : i;
      Kind kind = kind_at(text, word, size);
      if (kind != Kind::kSpace) {
        end = run_end(text, word, kind);
      } else {
        // White space: all of a run, but its last character belongs to a word that follows.
        end = run_end(text, i, Kind::kSpace);
        if (end < text.size() && end - i > 1) --end;
      }
    }
    pieces.push_back(text.substr(i, end - i));
    i = end;
  }
  return pieces;
}

}  // namespace longhaul
