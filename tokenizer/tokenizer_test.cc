// What surrounds merging: special tokens, BOS, the set of end tokens, loading, malformed
// vocabularies.
#include "tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "io/gguf_writer.h"
#include "tokenizer/test_helpers.h"

namespace longhaul {
namespace {

std::string error_of(const Vocabulary& vocabulary) {
  const auto tokenizer = Tokenizer::build(vocabulary);
  return tokenizer ? "" : tokenizer.error().message;
}

TEST(SpecialTest, ControlTokensAreParsedOnRequestAndUserDefinedAlways) {
  Vocabulary v = byte_level_vocabulary("gpt-2");
  const int32_t end = add_token(v, "<|end|>", TokenType::kControl);
  const int32_t user = add_token(v, "<x>", TokenType::kUserDefined);
  const int32_t longer = add_token(v, "<x>y", TokenType::kUserDefined);
  const Tokenizer t = make(v);
  EXPECT_EQ(encode(t, "<|end|><x>y<x>", true), (Ids{end, longer, user}));
  EXPECT_EQ(encode(t, "<|end|><x>"), (Ids{'<', '|', 'e', 'n', 'd', '|', '>', user}));
  EXPECT_EQ(encode(t, "<|en<|end|>", true), (Ids{'<', '|', 'e', 'n', end}));
  EXPECT_EQ(t.decode(Ids{'a', end, user, -1, 9999}), "a<x>");
  EXPECT_EQ(t.decode(Ids{'a', end, user}, true), "a<|end|><x>");
  EXPECT_EQ(t.find_token("<|end|>"), end);
  EXPECT_EQ(t.find_token("\n"), '\n');
  EXPECT_EQ(t.find_token("nothing"), std::nullopt);
  EXPECT_EQ(t.piece(end), "<|end|>");
  EXPECT_EQ(t.piece(-1), "");
  EXPECT_TRUE(t.is_control(end));
  EXPECT_FALSE(t.is_control(user));
  EXPECT_FALSE(t.is_control(-1));
}

TEST(SpecialTest, AControlNameInPlainTextNeverBecomesTheToken) {
  // Merging would lead to `<s>`; SentencePiece leaves control tokens out of it, and so do we.
  const Tokenizer t = make(sentence_piece_vocabulary({"<", "s", ">", "<s", "s>", "▁"}));
  const Ids plain = encode(t, "<s>");
  EXPECT_EQ(std::count(plain.begin(), plain.end(), *t.bos()), 0);
  EXPECT_EQ(t.decode(plain), "<s>");
  // The prefix blank comes back after a control token.
  EXPECT_EQ(encode(t, "<s>s", true), (Ids{*t.bos(), *t.find_token(" "), *t.find_token("s")}));
  EXPECT_EQ(encode(t, "<s> s", true), encode(t, "<s>s", true));  // but is not doubled
  EXPECT_EQ(t.decode(encode(t, "s<s>s", true), true), "s<s>s");
}

TEST(SpecialTest, WhatIsSaidHoldsNoControlTokens) {
  Vocabulary v = byte_level_vocabulary("gpt-2");
  const int32_t end = add_token(v, "<e>", TokenType::kControl);
  const int32_t dots = add_token(v, "..", TokenType::kUserDefined);
  const Tokenizer t = make(v);
  const auto ids_of = [&](std::string_view text, std::vector<TextRange> said) {
    Tokenizer::EncodeOptions options;
    options.add_bos = false;
    options.parse_special = true;
    options.said = said;
    return t.encode(text, options).value();
  };
  const Ids plain = {'<', 'e', '>'};
  EXPECT_EQ(ids_of("<e><e><e>", {{3, 6}}), (Ids{end, '<', 'e', '>', end}));
  EXPECT_EQ(ids_of("<e>", {{0, 3}}), plain);
  // A name that what is said begins or ends is none.
  EXPECT_EQ(ids_of("<e>", {{1, 3}}), plain);
  EXPECT_EQ(ids_of("<e>", {{0, 1}}), plain);
  // A user-defined token is text wherever it stands, and may reach over the edge.
  EXPECT_EQ(ids_of("a....<e>", {{2, 4}}), (Ids{'a', dots, dots, end}));
}

TEST(SpecialTest, ManyTokensWithOneBeginningCostTheirBeginningOnly) {
  Vocabulary v = byte_level_vocabulary("gpt-2");
  for (int i = 0; i < 5000; ++i) {
    add_token(v, "<reserved" + std::to_string(i) + ">", TokenType::kControl);
  }
  const Tokenizer t = make(v);
  std::string text;
  while (text.size() < (1u << 20)) text += "<reserve";
  EXPECT_EQ(t.decode(encode(t, text, true), true), text);
}

TEST(SpecialTest, BosIsAddedAsTheModelSays) {
  Vocabulary v = byte_level_vocabulary("gpt-2");
  EXPECT_FALSE(make(v).add_bos());
  Tokenizer::EncodeOptions with_bos;
  with_bos.add_bos = true;
  EXPECT_FALSE(make(v).encode("a", with_bos));  // there is none to add
  v.bos = add_token(v, "<bos>", TokenType::kControl);
  EXPECT_EQ(*make(v).encode("a"), (Ids{'a'}));
  EXPECT_EQ(encode(make(v), "a", false, true), (Ids{256, 'a'}));
  v.add_bos = true;
  EXPECT_EQ(*make(v).encode("a"), (Ids{256, 'a'}));
  v.add_bos.reset();
  v.pre = "llama-bpe";
  EXPECT_TRUE(make(v).add_bos());
  Vocabulary spm = sentence_piece_vocabulary({"▁"});
  EXPECT_TRUE(make(spm).add_bos());
  spm.bos.reset();
  EXPECT_FALSE(make(spm).add_bos());
  EXPECT_EQ(make(spm).warnings().size(), 1u);
}

TEST(SpecialTest, EndOfGenerationIsASet) {
  Vocabulary v = byte_level_vocabulary("qwen2");
  v.eos = add_token(v, "<eos>", TokenType::kControl);
  v.eot = add_token(v, "<eot>", TokenType::kControl);
  v.eom = add_token(v, "<eom>", TokenType::kControl);
  add_token(v, "<|im_end|>", TokenType::kControl);
  add_token(v, "<｜end▁of▁sentence｜>", TokenType::kControl);
  add_token(v, "<|im_start|>", TokenType::kControl);
  const Tokenizer t = make(v);
  EXPECT_EQ(t.end_of_generation(), (Ids{256, 257, 258, 259, 260}));
  EXPECT_TRUE(t.is_end_of_generation(259));
  EXPECT_FALSE(t.is_end_of_generation(261));
  EXPECT_FALSE(t.is_end_of_generation('a'));
}

TEST(LoadTest, ReadsTheKeysOfAFile) {
  Vocabulary v = byte_level_vocabulary("qwen2", {{"a", "b"}});
  add_token(v, "<|im_end|>", TokenType::kControl);
  GgufWriter writer;
  writer.set_string("tokenizer.ggml.model", "gpt2");
  writer.set_string("tokenizer.ggml.pre", "qwen2");
  writer.set_string_array("tokenizer.ggml.tokens", v.tokens);
  writer.set_string_array("tokenizer.ggml.merges", v.merges);
  writer.set_i32_array("tokenizer.ggml.token_type", v.types);
  writer.set_u32("tokenizer.ggml.eos_token_id", 257);
  writer.set_bool("tokenizer.ggml.add_bos_token", false);
  writer.set_string("tokenizer.chat_template", "<|im_start|>");
  const auto bytes = writer.write_to_memory();
  ASSERT_TRUE(bytes);
  const auto file = GgufFile::parse(*bytes, "test.gguf");
  ASSERT_TRUE(file) << file.error().message;
  const auto t = Tokenizer::load(*file);
  ASSERT_TRUE(t) << t.error().message;
  EXPECT_EQ(*t->encode("ab"), (Ids{256}));
  EXPECT_EQ(t->eos(), 257);
  EXPECT_EQ(t->chat_template(), "<|im_start|>");
  EXPECT_TRUE(t->warnings().empty());
}

TEST(LoadTest, AMissingKeyIsNamed) {
  GgufWriter writer;
  writer.set_string("tokenizer.ggml.model", "gpt2");
  const auto bytes = writer.write_to_memory();
  ASSERT_TRUE(bytes);
  const auto file = GgufFile::parse(*bytes, "test.gguf");
  ASSERT_TRUE(file);
  const auto t = Tokenizer::load(*file);
  ASSERT_FALSE(t);
  EXPECT_NE(t.error().message.find("tokenizer.ggml.tokens"), std::string::npos);
}

TEST(LoadTest, WhatIsNotSupportedIsNamedWithWhatIs) {
  Vocabulary v = byte_level_vocabulary("chatglm-bpe");
  EXPECT_NE(error_of(v).find("\"chatglm-bpe\""), std::string::npos) << error_of(v);
  EXPECT_NE(error_of(v).find("deepseek-r1-qwen"), std::string::npos) << error_of(v);
  v.model = "bert";
  EXPECT_NE(error_of(v).find("\"bert\" is not supported; supported: gpt2, llama"),
            std::string::npos)
      << error_of(v);
}

TEST(LoadTest, AMissingPreTokenizerIsDefaultWithAWarning) {
  Vocabulary v = byte_level_vocabulary("gpt-2", {{"7", "7"}, {"77", "7"}});
  v.pre.reset();
  const Tokenizer t = make(v);
  ASSERT_EQ(t.warnings().size(), 1u);
  EXPECT_NE(t.warnings()[0].find("tokenizer.ggml.pre"), std::string::npos);
  EXPECT_EQ(encode(t, "7777"), (Ids{257, '7'}));  // `default` cuts digits by three
}

struct Malformed {
  const char* part_of_message;
  void (*spoil)(Vocabulary&);
};

TEST(LoadTest, MalformedVocabulariesAreErrors) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const Malformed bpe[] = {
      {"is empty", [](Vocabulary& v) { v.tokens.clear(), v.types.clear(); }},
      {"token_type: expected 258", [](Vocabulary& v) { v.types.pop_back(); }},
      {"scores: expected 258", [](Vocabulary& v) { v.scores = {1}; }},
      {"token_type[5]", [](Vocabulary& v) { v.types[5] = 7; }},
      {"token_type[6]", [](Vocabulary& v) { v.types[6] = 0; }},
      {"tokens 7 and 9 are both", [](Vocabulary& v) { v.tokens[9] = v.tokens[7]; }},
      {"bos_token_id", [](Vocabulary& v) { v.bos = 258; }},
      {"eos_token_id", [](Vocabulary& v) { v.eos = -1; }},
      {"eot_token_id", [](Vocabulary& v) { v.eot = int64_t{1} << 40; }},
      {"merges[2]", [](Vocabulary& v) { v.merges.push_back("no_blank"); }},
      {"merges[2]", [](Vocabulary& v) { v.merges.push_back(""); }},
      {"merges[2]", [](Vocabulary& v) { v.merges.push_back("a "); }},
      {"names a token", [](Vocabulary& v) { v.merges.push_back("a nowhere"); }},
      {"gives a token", [](Vocabulary& v) { v.merges.push_back("a z"); }},
  };
  for (const Malformed& row : bpe) {
    Vocabulary v = byte_level_vocabulary("gpt-2", {{"a", "b"}, {"ab", "c"}});
    ASSERT_EQ(error_of(v), "");
    row.spoil(v);
    EXPECT_NE(error_of(v).find(row.part_of_message), std::string::npos) << error_of(v);
  }
  const Malformed spm[] = {
      {"tokenizer.ggml.scores: a vocabulary", [](Vocabulary& v) { v.scores.clear(); }},
      {"scores: expected 260", [](Vocabulary& v) { v.scores.pop_back(); }},
      {"scores[9]: not a number", [](Vocabulary& v) { v.scores[9] = kNan; }},
      {"tokenizer.ggml.token_type: a vocabulary", [](Vocabulary& v) { v.types.clear(); }},
      {"a byte token must be", [](Vocabulary& v) { v.tokens[9] = "<0xG0>"; }},
      {"a byte token must be", [](Vocabulary& v) { v.tokens[9] = "<0x-1>"; }},
      {"a byte token must be", [](Vocabulary& v) { v.tokens[9] = ""; }},
      {"unknown_token_id", [](Vocabulary& v) { v.unknown = 260; }},
  };
  for (const Malformed& row : spm) {
    Vocabulary v = sentence_piece_vocabulary({"▁"});
    ASSERT_EQ(error_of(v), "");
    row.spoil(v);
    EXPECT_NE(error_of(v).find(row.part_of_message), std::string::npos) << error_of(v);
  }
}

TEST(LoadTest, EmptyTokensExist) {
  Vocabulary v = byte_level_vocabulary("gpt-2");
  add_token(v, "", TokenType::kControl);
  add_token(v, "", TokenType::kUserDefined);
  add_token(v, "", TokenType::kNormal);
  const Tokenizer t = make(v);
  EXPECT_EQ(encode(t, "ab", true), (Ids{'a', 'b'}));
}

}  // namespace
}  // namespace longhaul
