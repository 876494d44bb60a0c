// The scanners against the published patterns, which PCRE2 runs: the same pieces for random text.
#include "tokenizer/pretokenizer.h"

#include <gtest/gtest.h>

#include <random>

#include "tokenizer/pcre2_oracle.h"

namespace longhaul {
namespace {

using Patterns = std::vector<std::string>;

const std::string kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
const std::string kLlama3 = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
                            R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string kQwen2 = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
                           R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// The canonical equivalents that NFC would put in are written as escapes.
const std::string kDeepseekLetters =
    R"(\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕ)"
    R"(ἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\x{1F7D}ᾀ-ᾴᾶ-ᾼ\x{1FBE}ῂ-ῄῆ-ῌῐ-\x{1FD3}ῖ-\x{1FDB}ῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\x{2126}ℨ)"
    R"(\x{212A}-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+)";
const std::string kDeepseekCjk = "[一-龥ࠀ-一가-\\x{D7FF}]+";

const std::vector<std::pair<std::string, Patterns>> kPublished = {
    {"gpt-2", {kGpt2}},
    {"llama-bpe", {kLlama3}},
    {"llama3", {kLlama3}},
    {"llama-v3", {kLlama3}},
    {"dbrx", {kLlama3}},
    {"qwen2", {kQwen2}},
    {"deepseek-r1-qwen", {kQwen2}},
    {"deepseek-llm",
     {R"([\r\n])", kDeepseekLetters, R"(\s?[!-/:-~！-／：-～‘-‟　-。]+)", R"(\s+$)", kDeepseekCjk,
      R"(\p{N}+)"}},
    {"deepseek-coder", {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kDeepseekCjk, R"(\p{N})"}},
    {"starcoder", {R"(\p{N})", kGpt2}},
    {"smollm", {R"(\p{N})", kGpt2}},
    {"tekken", {kTekken}},
    {"gpt-4o", {kGpt4o}},
    {"default", {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2, R"(\p{N}+)", "[0-9][0-9][0-9]"}},
};

std::vector<std::string_view> oracle_pieces(const std::vector<Pcre2Oracle>& stages,
                                            std::string_view text) {
  std::vector<std::string_view> pieces{text};
  for (const Pcre2Oracle& stage : stages) {
    std::vector<std::string_view> next;
    for (const std::string_view piece : pieces) stage.split(piece, next);
    pieces = next;
  }
  return pieces;
}

// What patterns tell apart, the more often the more they do; and code points from everywhere.
std::string random_text(std::mt19937& rng) {
  static const std::vector<std::string> kBits = {"a",
                                                 "b",
                                                 "z",
                                                 "A",
                                                 "Z",
                                                 "ß",
                                                 "ſ",
                                                 "Ä",
                                                 "ö",
                                                 "я",
                                                 "Я",
                                                 "中",
                                                 "文",
                                                 "ก",
                                                 "ა",
                                                 "Ა",
                                                 "ʰ",
                                                 "ª",
                                                 "ǅ",
                                                 "ᾈ",
                                                 "が",
                                                 "한",
                                                 "ﬁ",
                                                 "K",
                                                 "\u212A",
                                                 "Ω",
                                                 "\u2126",
                                                 "\u1FD3",
                                                 "\u1F7D",
                                                 "Ａ",
                                                 "ａ",
                                                 "𐐀",
                                                 "0",
                                                 "1",
                                                 "7",
                                                 "٣",
                                                 "²",
                                                 "Ⅷ",
                                                 "½",
                                                 "①",
                                                 "９",
                                                 " ",
                                                 " ",
                                                 "  ",
                                                 "   ",
                                                 "\t",
                                                 "\n",
                                                 "\r",
                                                 "\r\n",
                                                 "\v",
                                                 "\x0c",
                                                 "\u0085",
                                                 "\u00A0",
                                                 "\u2003",
                                                 "\u2028",
                                                 "\u3000",
                                                 "\u200B",
                                                 "\u200D",
                                                 "\uFEFF",
                                                 "\u0301",
                                                 "\u0903",
                                                 "\u20DD",
                                                 "'",
                                                 "'s",
                                                 "'S",
                                                 "'re",
                                                 "'LL",
                                                 "'lL",
                                                 "'ſ",
                                                 "'t",
                                                 "'M",
                                                 "’",
                                                 ".",
                                                 ",",
                                                 "!",
                                                 "/",
                                                 "/\n",
                                                 "(",
                                                 "「",
                                                 "。",
                                                 "、",
                                                 "！",
                                                 "～",
                                                 "_",
                                                 "-",
                                                 "$",
                                                 "+",
                                                 "<",
                                                 "=",
                                                 ">",
                                                 "^",
                                                 "~",
                                                 "|",
                                                 "`",
                                                 "€",
                                                 "©",
                                                 "→",
                                                 "😀",
                                                 "🏽",
                                                 "\u0378",
                                                 "\uE000",
                                                 "\uFFFD",
                                                 std::string(1, '\0'),
                                                 "\x7f"};
  std::string text;
  const size_t n = 1 + rng() % 24;
  for (size_t i = 0; i < n; ++i) {
    if (rng() % 16 != 0) {
      text += kBits[rng() % kBits.size()];
      continue;
    }
    auto code = static_cast<char32_t>(rng() % (rng() % 2 == 0 ? 0x110000 : 0x3400));
    // PCRE2 counts U+180E as white space, which Unicode has not done since 6.3.
    if ((code >= 0xD800 && code <= 0xDFFF) || code == 0x180E) code = 'x';
    append_utf8(text, code);
  }
  return text;
}

TEST(PreTokenizerTest, PiecesAreThoseOfThePublishedPatterns) {
  for (const auto& [name, patterns] : kPublished) {
    const PreTokenizer* pre = find_pretokenizer(name);
    ASSERT_NE(pre, nullptr) << name;
    std::vector<Pcre2Oracle> stages;
    for (const std::string& pattern : patterns) stages.emplace_back(pattern);
    std::mt19937 rng(20240229);
    for (int i = 0; i < 6000; ++i) {
      const std::string text = random_text(rng);
      ASSERT_EQ(pretokenize(*pre, text), oracle_pieces(stages, text)) << name << ", text " << i;
    }
  }
}

TEST(PreTokenizerTest, EveryNameIsTested) {
  std::string names;
  for (const auto& [name, patterns] : kPublished) names += (names.empty() ? "" : ", ") + name;
  EXPECT_EQ(pretokenizer_names(), names);
  EXPECT_EQ(find_pretokenizer("chatglm-bpe"), nullptr);
}

TEST(PreTokenizerTest, CategoriesAreThoseOfPcre2) {
  const std::vector<std::pair<std::string, CharCategory>> classes = {
      {R"([\p{Lu}\p{Lt}])", CharCategory::kUpperLetter},
      {R"(\p{Ll})", CharCategory::kLowerLetter},
      {R"([\p{Lm}\p{Lo}])", CharCategory::kCaselessLetter},
      {R"(\p{M})", CharCategory::kMark},
      {R"(\p{N})", CharCategory::kNumber},
      {R"(\p{P})", CharCategory::kPunctuation},
      {R"([\p{S}\p{Z}\p{C}])", CharCategory::kOther},
  };
  std::string all;
  for (char32_t code = 0; code < 0x110000; ++code) {
    if (code < 0xD800 || code > 0xDFFF) append_utf8(all, code);
  }
  size_t n_seen = 0;
  for (const auto& [pattern, category] : classes) {
    const Pcre2Oracle oracle(pattern + "+");
    for (size_t pos = 0;;) {
      const auto [begin, end] = oracle.find(all, pos);
      if (begin == std::string_view::npos) break;
      for (pos = begin; pos < end; ++n_seen) {
        const Utf8Char c = decode_utf8(all, pos);
        ASSERT_EQ(char_category(c.code), category) << std::hex << static_cast<uint32_t>(c.code);
        pos += c.n_bytes;
      }
    }
  }
  EXPECT_EQ(n_seen, 0x110000u - 0x800u);
}

TEST(PreTokenizerTest, BytesThatAreNotUtf8StayInPlace) {
  std::mt19937 rng(7);
  for (const auto& published : kPublished) {
    const PreTokenizer* pre = find_pretokenizer(published.first);
    for (int i = 0; i < 500; ++i) {
      std::string text(rng() % 20, ' ');
      for (char& byte : text) byte = static_cast<char>(rng());
      std::string joined;
      for (const std::string_view piece : pretokenize(*pre, text)) {
        EXPECT_FALSE(piece.empty());
        joined += piece;
      }
      ASSERT_EQ(joined, text);
    }
  }
}

}  // namespace
}  // namespace longhaul
