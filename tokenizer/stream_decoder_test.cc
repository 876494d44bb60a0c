#include "tokenizer/stream_decoder.h"

#include <gtest/gtest.h>

#include <random>

#include "tokenizer/test_helpers.h"

namespace longhaul {
namespace {

bool is_valid_utf8(std::string_view text) {
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Char c = decode_utf8(text, pos);
    if (c.state != Utf8State::kValid) return false;
    pos += c.n_bytes;
  }
  return true;
}

TEST(StreamDecoderTest, HoldsACharacterBackUntilItIsWhole) {
  const Tokenizer t = make(byte_level_vocabulary("gpt-2"));
  StreamDecoder decoder(t);
  EXPECT_EQ(decoder.feed('a'), "a");
  EXPECT_EQ(decoder.feed(0xF0), "");
  EXPECT_EQ(decoder.feed(0x9F), "");
  EXPECT_EQ(decoder.feed(0x98), "");
  EXPECT_EQ(decoder.feed(0x80), "😀");
  EXPECT_EQ(decoder.finish(), "");
}

TEST(StreamDecoderTest, BytesThatCannotBecomeACharacterAreReplaced) {
  const Tokenizer t = make(byte_level_vocabulary("gpt-2"));
  StreamDecoder decoder(t);
  EXPECT_EQ(decoder.feed(0x80), "\uFFFD");
  EXPECT_EQ(decoder.feed(0xE2), "");
  EXPECT_EQ(decoder.feed(0x82), "");
  EXPECT_EQ(decoder.feed('a'), "\uFFFDa");  // E2 82 is one maximal subpart
  EXPECT_EQ(decoder.feed(0xC3), "");
  EXPECT_EQ(decoder.finish(), "\uFFFD");
  EXPECT_EQ(decoder.feed(0xA9), "\uFFFD");  // begun anew: nothing to complete
}

TEST(StreamDecoderTest, ControlTokensAndUnknownIdsGiveNothing) {
  Vocabulary v = byte_level_vocabulary("gpt-2");
  const int32_t end = add_token(v, "<|end|>", TokenType::kControl);
  const Tokenizer t = make(v);
  StreamDecoder decoder(t);
  EXPECT_EQ(decoder.feed(0xC3), "");
  EXPECT_EQ(decoder.feed(end), "");
  EXPECT_EQ(decoder.feed(-5), "");
  EXPECT_EQ(decoder.feed(0xA9), "é");
}

TEST(StreamDecoderTest, AnyTokensGiveValidTextAndValidTextIsKept) {
  const Tokenizer t = make(byte_level_vocabulary("gpt-2", {{"Ã", "©"}, {"ð", "Ł"}, {"a", "Ã"}}));
  std::mt19937 rng(4);
  for (int round = 0; round < 500; ++round) {
    std::string text(rng() % 40, ' ');
    for (char& byte : text) byte = static_cast<char>(rng());
    if (round % 2 == 0) text = "aé😀aé中" + std::string(rng() % 3, 'b') + "ñ€𝄞";
    const auto ids = t.encode(text);
    ASSERT_TRUE(ids);
    StreamDecoder decoder(t);
    std::string streamed;
    for (const int32_t id : *ids) {
      const std::string part = decoder.feed(id);
      ASSERT_TRUE(is_valid_utf8(part));
      streamed += part;
    }
    streamed += decoder.finish();
    ASSERT_TRUE(is_valid_utf8(streamed));
    if (is_valid_utf8(text)) {
      ASSERT_EQ(streamed, text);
    }
  }
}

TEST(StreamDecoderTest, TheBlankOfSentencePieceIsKeptInsideAText) {
  const Tokenizer t = make(sentence_piece_vocabulary({"▁a"}));
  const int32_t word = *t.find_token(" a");
  StreamDecoder inside(t);
  EXPECT_EQ(inside.feed(word), " a");
  StreamDecoder start(t, true);
  EXPECT_EQ(start.feed(word), "a");
  EXPECT_EQ(start.feed(word), " a");
}

}  // namespace
}  // namespace longhaul
