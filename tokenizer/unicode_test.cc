#include "tokenizer/unicode.h"

#include <gtest/gtest.h>

#include "tokenizer/byte_alphabet.h"

namespace longhaul {
namespace {

TEST(UnicodeTest, EveryCodePointDecodesToItself) {
  for (char32_t code = 0; code < 0x110000; ++code) {
    if (code >= 0xD800 && code <= 0xDFFF) continue;
    std::string text;
    append_utf8(text, code);
    const Utf8Char c = decode_utf8(text, 0);
    ASSERT_EQ(c.state, Utf8State::kValid);
    ASSERT_EQ(c.code, code);
    ASSERT_EQ(c.n_bytes, text.size());
    // Every proper beginning may still become the character.
    for (size_t n = 1; n < text.size(); ++n) {
      const Utf8Char cut = decode_utf8(std::string_view(text).substr(0, n), 0);
      ASSERT_EQ(cut.state, Utf8State::kTruncated);
      ASSERT_EQ(cut.n_bytes, n);
    }
  }
}

// The examples of Unicode 15, tables 3-8 to 3-11: how many bytes one replacement character stands
// for.
TEST(UnicodeTest, InvalidBytesAreCutIntoMaximalSubparts) {
  const auto lengths = [](std::string_view text) {
    std::vector<int> all;
    for (size_t pos = 0; pos < text.size();) {
      const Utf8Char c = decode_utf8(text, pos);
      all.push_back(c.state == Utf8State::kValid ? -c.n_bytes : c.n_bytes);
      pos += c.n_bytes;
    }
    return all;
  };
  using Lengths = std::vector<int>;
  EXPECT_EQ(lengths("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"),
            (Lengths{1, 1, 1, 1, 1, 1, 1, 1, -1}));  // overlong
  EXPECT_EQ(lengths("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"), (Lengths{1, 1, 1, 1, 1, 1, 1, 1, -1}));
  EXPECT_EQ(lengths("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"),
            (Lengths{1, 1, 1, 1, 1, -1, 1, 1, -1}));
  EXPECT_EQ(lengths("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), (Lengths{2, 1, 3, 2, -1}));
}

TEST(UnicodeTest, WhiteSpaceHasTwentyFiveCharacters) {
  int n = 0;
  for (char32_t code = 0; code < 0x110000; ++code) n += is_white_space(code) ? 1 : 0;
  EXPECT_EQ(n, 25);
  EXPECT_FALSE(is_white_space(0x180E));
  EXPECT_FALSE(is_white_space(0x200B));
}

TEST(ByteAlphabetTest, EveryByteHasItsOwnPrintableCharacter) {
  for (int byte = 0; byte < 256; ++byte) {
    std::string text;
    append_utf8(text, alphabet_char(static_cast<uint8_t>(byte)));
    EXPECT_EQ(bytes_from_alphabet(text), std::string(1, static_cast<char>(byte)));
  }
  EXPECT_EQ(alphabet_char('a'), U'a');
  EXPECT_EQ(alphabet_char(' '), U'\u0120');
  EXPECT_EQ(alphabet_char('\n'), U'\u010A');
  EXPECT_EQ(bytes_from_alphabet("Ġ中"), " 中");  // outside of the alphabet: as it stands
}

}  // namespace
}  // namespace longhaul
