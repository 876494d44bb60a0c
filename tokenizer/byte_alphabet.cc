#include "tokenizer/byte_alphabet.h"

#include <array>

#include "tokenizer/unicode.h"

namespace longhaul {
namespace {

constexpr size_t kAlphabetEnd = 0x144;  // 256 bytes, 68 of them not printable

struct Alphabet {
  std::array<char32_t, 256> chars{};
  std::array<int16_t, kAlphabetEnd> bytes{};  // -1: not in the alphabet
};

Alphabet make_alphabet() {
  Alphabet a;
  a.bytes.fill(-1);
  char32_t next = 0x100;
  for (size_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
    a.chars[byte] = printable ? static_cast<char32_t>(byte) : next++;
    a.bytes[a.chars[byte]] = static_cast<int16_t>(byte);
  }
  return a;
}

const Alphabet& alphabet() {
  static const Alphabet kAlphabet = make_alphabet();
  return kAlphabet;
}

}  // namespace

char32_t alphabet_char(uint8_t byte) { return alphabet().chars[byte]; }

std::string bytes_from_alphabet(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Char c = decode_utf8(text, pos);
    const int16_t byte = c.code < kAlphabetEnd ? alphabet().bytes[c.code] : int16_t{-1};
    if (byte >= 0) {
      out.push_back(static_cast<char>(byte));
    } else {
      out.append(text.substr(pos, c.n_bytes));
    }
    pos += c.n_bytes;
  }
  return out;
}

}  // namespace longhaul
