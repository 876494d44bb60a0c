// The two families of merging, against their definitions.
#include "tokenizer/encoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tokenizer/merge.h"
#include "tokenizer/test_helpers.h"

namespace longhaul {
namespace {

// As the definition says it: find the pair of the lowest rank, the leftmost of them, join, again.
template <class FindMerge>
std::vector<std::string> merge_naively(std::vector<std::string> symbols, FindMerge rank_of) {
  for (;;) {
    size_t best = symbols.size();
    uint32_t best_rank = kNoMerge;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const uint32_t rank = rank_of(symbols[i], symbols[i + 1]);
      if (rank < best_rank) best = i, best_rank = rank;
    }
    if (best == symbols.size()) return symbols;
    symbols[best] += symbols[best + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

std::string random_letters(std::mt19937& rng, size_t n, size_t n_kinds) {
  std::string text(n, 'a');
  for (char& c : text) c = static_cast<char>('a' + rng() % n_kinds);
  return text;
}

TEST(BpeTest, MergesByRankAndThenFromTheLeft) {
  const Tokenizer t = make(byte_level_vocabulary("gpt-2", {{"b", "c"}, {"a", "b"}, {"a", "a"}}));
  EXPECT_EQ(encode(t, "abc"), (Ids{'a', 256}));  // b c goes first, though a b stands before it
  EXPECT_EQ(encode(t, "aaa"), (Ids{258, 'a'}));
  EXPECT_EQ(encode(t, ""), Ids{});
}

TEST(BpeTest, EqualsTheDefinitionForRandomMerges) {
  std::mt19937 rng(1);
  for (int round = 0; round < 25; ++round) {
    Vocabulary v = byte_level_vocabulary("gpt-2");
    std::vector<std::string> texts = {"a", "b", "c"};
    for (int i = 0; i < 40; ++i) {
      const std::string left = texts[rng() % texts.size()];
      const std::string right = texts[rng() % texts.size()];
      if (std::count(v.merges.begin(), v.merges.end(), left + " " + right) > 0) continue;
      add_merge(v, left, right);
      texts.push_back(left + right);
    }
    const Tokenizer t = make(v);
    const auto rank_of = [&](const std::string& left, const std::string& right) {
      const auto found = std::find(v.merges.begin(), v.merges.end(), left + " " + right);
      return found == v.merges.end() ? kNoMerge : static_cast<uint32_t>(found - v.merges.begin());
    };
    for (int i = 0; i < 40; ++i) {
      const std::string text = random_letters(rng, rng() % 50, 3);
      std::vector<std::string> symbols;
      for (const char c : text) symbols.emplace_back(1, c);
      Ids expected;
      for (const std::string& token : merge_naively(symbols, rank_of)) {
        const auto at = std::find(v.tokens.begin(), v.tokens.end(), token);
        expected.push_back(static_cast<int32_t>(at - v.tokens.begin()));
      }
      ASSERT_EQ(encode(t, text), expected) << text;
    }
  }
}

TEST(BpeTest, RoundTripsAnyBytes) {
  std::mt19937 rng(2);
  for (const char* pre : {"gpt-2", "llama-bpe", "qwen2", "deepseek-r1-qwen", "deepseek-llm",
                          "deepseek-coder", "starcoder", "smollm", "tekken", "default"}) {
    Vocabulary v = byte_level_vocabulary(pre, {{"a", "b"}, {"Ġ", "a"}, {"Ã", "¤"}});
    add_token(v, "<|end|>", TokenType::kControl);
    add_token(v, "äö", TokenType::kUserDefined);
    const Tokenizer t = make(v);
    for (int i = 0; i < 300; ++i) {
      std::string text(rng() % 64, ' ');
      for (char& byte : text) byte = static_cast<char>(rng() % 3 == 0 ? rng() : 'a' + rng() % 3);
      text += rng() % 2 == 0 ? "äö<|end|>" : "  äö\xC3";
      ASSERT_EQ(t.decode(encode(t, text, false)), text) << pre;
      ASSERT_EQ(t.decode(encode(t, text, true), true), text) << pre;
    }
  }
}

TEST(BpeTest, AWordThatIsATokenIsTakenWholeWhereTheModelDoesSo) {
  for (const bool ignores_merges : {false, true}) {
    Vocabulary v = byte_level_vocabulary(ignores_merges ? "llama-bpe" : "gpt-2");
    const int32_t word = add_token(v, "Ġabc", TokenType::kNormal);  // no merge leads to it
    const Ids expected = ignores_merges ? Ids{word} : Ids{' ', 'a', 'b', 'c'};
    EXPECT_EQ(encode(make(v), " abc"), expected);
  }
}

TEST(BpeTest, AByteWithoutATokenIsRefused) {
  Vocabulary v = byte_level_vocabulary("gpt-2");
  v.tokens[0xF1] = "other";
  v.tokens['x'] = "another";
  const Tokenizer t = make(v);
  EXPECT_TRUE(t.warnings().empty());  // before such a byte occurs
  const auto ids = t.encode("abc x");
  ASSERT_FALSE(ids);
  for (const char* part : {"0x78", "2 of the 256 bytes"})
    EXPECT_NE(ids.error().message.find(part), std::string::npos) << ids.error().message;
  EXPECT_TRUE(t.encode("abc"));
}

TEST(BpeTest, AMegabyteOfOneCharacterIsNoTrouble) {
  const std::vector<std::pair<std::string, std::string>> merges = {
      {"a", "a"}, {"aa", "aa"}, {"Ġ", "Ġ"}, {"ĠĠ", "ĠĠ"}, {"Ċ", "Ċ"}, {"7", "7"}, {"ð", "Ł"}};
  for (const char* pre : {"gpt-2", "llama-bpe", "qwen2", "deepseek-llm", "deepseek-coder",
                          "starcoder", "tekken", "default"}) {
    const Tokenizer t = make(byte_level_vocabulary(pre, merges));
    for (const std::string bit : {"a", " ", "7", "\n", "😀"}) {
      std::string text;
      while (text.size() < (1u << 16)) text += bit;
      text += "x";
      ASSERT_EQ(t.decode(encode(t, text)), text) << pre << ", " << bit;
    }
  }
  const Tokenizer t = make(byte_level_vocabulary("gpt-2", merges));
  const std::string text(1 << 20, 'a');
  EXPECT_EQ(encode(t, text), Ids((1 << 20) / 4, 257));
}

TEST(SpmTest, JoinsByScoreAndFallsBackToBytes) {
  Vocabulary v = sentence_piece_vocabulary({"▁ab", "ab", "▁a", "a", "b", "▁"});
  const Tokenizer t = make(v);
  const int32_t first = 3 + 256;
  EXPECT_EQ(encode(t, "ab"), (Ids{first}));  // ▁ab: the prefix is a blank
  EXPECT_EQ(encode(t, "b ab"), (Ids{first + 5, first + 4, first}));
  EXPECT_EQ(encode(t, "é"), (Ids{first + 5, 3 + 0xC3, 3 + 0xA9}));
  EXPECT_EQ(encode(t, "\xFF"), (Ids{first + 5, 3 + 0xFF}));
  EXPECT_EQ(encode(t, ""), Ids{});
  for (const std::string text : {"ab", " ab", "  a b\n", "é\xFF", "<s>", "<0x41>"}) {
    EXPECT_EQ(t.decode(encode(t, text)), text);
  }
  // A blank is what SentencePiece writes for one, and comes back as one.
  EXPECT_EQ(encode(t, "▁ab"), encode(t, " ab"));
  EXPECT_EQ(encode(t, "b▁▁ab▁"), encode(t, "b  ab "));
  EXPECT_EQ(t.decode(encode(t, "b▁ab")), "b ab");
  v.add_space_prefix = false;
  EXPECT_EQ(encode(make(v), "ab"), (Ids{first + 1}));
}

TEST(SpmTest, EqualsTheDefinitionForRandomPieces) {
  std::mt19937 rng(3);
  for (int round = 0; round < 25; ++round) {
    std::vector<std::string> pieces = {"a", "b", "▁"};
    const bool with_inner_blanks = round % 2 == 0;
    for (int i = 0; i < 30; ++i) {
      std::string piece;
      const size_t n = 2 + rng() % 5;
      for (size_t k = 0; k < n; ++k) {
        const bool blank = rng() % 3 == 0 && (k == 0 || with_inner_blanks);
        piece += blank ? "▁" : std::string(1, static_cast<char>('a' + rng() % 2));
      }
      if (std::count(pieces.begin(), pieces.end(), piece) == 0) pieces.push_back(piece);
    }
    Vocabulary v = sentence_piece_vocabulary(pieces);
    v.add_space_prefix = false;
    // Equal scores: then it is the leftmost that goes first.
    for (size_t i = 259; i < v.scores.size(); ++i) v.scores[i] = -static_cast<float>(rng() % 12);
    const Tokenizer t = make(v);
    const auto rank_of = [&](const std::string& left, const std::string& right) {
      const auto found = std::find(v.tokens.begin() + 259, v.tokens.end(), left + right);
      if (found == v.tokens.end()) return kNoMerge;
      return static_cast<uint32_t>(-v.scores[static_cast<size_t>(found - v.tokens.begin())]);
    };
    for (int i = 0; i < 40; ++i) {
      std::string text;
      std::vector<std::string> symbols;
      const size_t n = rng() % 40;
      for (size_t k = 0; k < n; ++k) {
        symbols.push_back(rng() % 3 == 0 ? "▁"
                                         : std::string(1, static_cast<char>('a' + rng() % 2)));
        text += symbols.back() == "▁" ? " " : symbols.back();
      }
      Ids expected;
      for (const std::string& token : merge_naively(symbols, rank_of)) {
        const auto at = std::find(v.tokens.begin(), v.tokens.end(), token);
        expected.push_back(static_cast<int32_t>(at - v.tokens.begin()));
      }
      ASSERT_EQ(encode(t, text), expected) << text;
    }
  }
}

TEST(SpmTest, AMegabyteOfOneCharacterIsNoTrouble) {
  const Tokenizer t = make(sentence_piece_vocabulary({"a", "aa", "aaaa", "▁", "▁▁", "▁▁▁▁"}));
  for (const std::string bit : {"a", " ", "😀"}) {
    std::string text;
    while (text.size() < (1u << 20)) text += bit;
    ASSERT_EQ(t.decode(encode(t, text)), text) << bit;
  }
}

TEST(SpmTest, WithoutBytesTheUnknownTokenStandsIn) {
  Vocabulary v;
  v.model = "llama";
  add_token(v, "<unk>", TokenType::kUnknown);
  add_token(v, "a", TokenType::kNormal);
  v.add_space_prefix = false;
  v.add_bos = false;
  ASSERT_FALSE(make(v).encode("ab"));
  v.unknown = 0;
  EXPECT_EQ(encode(make(v), "ab"), (Ids{1, 0}));
}

}  // namespace
}  // namespace longhaul
