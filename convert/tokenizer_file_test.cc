#include "convert/tokenizer_file.h"

#include <gtest/gtest.h>

#include "convert/pretokenizer_kind.h"
#include "convert/test_bytes.h"
#include "convert/tokenizer_folder.h"
#include "io/test_dir.h"
#include "tokenizer/pretokenizer.h"
#include "tokenizer/tokenizer.h"

namespace longhaul {
namespace {

using Ids = std::vector<int32_t>;

const char* const kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

Json byte_level(bool cuts) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", cuts}};
}

Json split(const std::string& regex) {
  Json stage = {{"type", "Split"}, {"behavior", "Isolated"}, {"invert", false}};
  stage["pattern"]["Regex"] = regex;
  return stage;
}

Json sequence(std::vector<Json> stages) {
  return {{"type", "Sequence"}, {"pretokenizers", std::move(stages)}};
}

// A byte-level vocabulary of a, b, ab, a control token and a tool token.
Json byte_level_document() {
  return {{"pre_tokenizer", byte_level(true)},
          {"added_tokens", Json::array({{{"id", 3}, {"content", "<end>"}, {"special", true}},
                                        {{"id", 4}, {"content", "<tool>"}, {"special", false}}})},
          {"model",
           {{"type", "BPE"}, {"vocab", {{"a", 0}, {"b", 1}, {"ab", 2}}}, {"merges", {"a b"}}}}};
}

// SentencePiece's: "▁ab" is made by three merges, and beats "bc".
Json sentencepiece_document() {
  Json vocab = {{"<unk>", 0}, {"<s>", 1}, {"▁a", 2}, {"ab", 3}, {"▁ab", 4},
                {"bc", 5},    {"a", 6},   {"b", 7},  {"c", 8},  {"▁", 9}};
  for (int byte = 0; byte < 256; ++byte) vocab[fmt::format("<0x{:02X}>", byte)] = 10 + byte;
  Json replace = {{"type", "Replace"}, {"content", "▁"}};
  replace["pattern"]["String"] = " ";
  return {{"normalizer", replace},
          {"added_tokens", Json::array({{{"id", 1}, {"content", "<s>"}, {"special", true}}})},
          {"model",
           {{"type", "BPE"},
            {"byte_fallback", true},
            {"unk_token", "<unk>"},
            {"vocab", vocab},
            {"merges", Json::array({Json::array({"▁", "a"}), Json::array({"a", "b"}),
                                    Json::array({"▁a", "b"}), Json::array({"▁", "ab"}),
                                    Json::array({"b", "c"})})}}}};
}

std::string name_of(const Json& pre_tokenizer, bool ignores_merges) {
  const Json document = {{"pre_tokenizer", pre_tokenizer}};
  const auto name = find_pretokenizer_name(*JsonFields::of(document, "t.json"), ignores_merges);
  return name ? *name : name.error().message;
}

TEST(PretokenizerKind, IsToldByWhatItSays) {
  const Json digits = {{"type", "Digits"}, {"individual_digits", true}};
  EXPECT_EQ(name_of(byte_level(true), false), "gpt-2");
  EXPECT_EQ(name_of(sequence({digits, byte_level(true)}), false), "smollm");
  EXPECT_EQ(name_of(sequence({split(kLlama3), byte_level(false)}), true), "llama-bpe");
  EXPECT_EQ(name_of(sequence({split(kLlama3), byte_level(false)}), false), "dbrx");
  for (const char* name : {"gpt-2", "smollm", "llama-bpe", "dbrx", "qwen2", "tekken"}) {
    ASSERT_NE(find_pretokenizer(name), nullptr) << name;
    EXPECT_EQ(find_pretokenizer(name)->ignore_merges,
              name == std::string("llama-bpe") || name == std::string("tekken"));
  }
}

TEST(PretokenizerKind, OthersAreRefusedWithTheirPatterns) {
  EXPECT_NE(name_of(sequence({split(R"(\p{L}+)"), byte_level(false)}), false).find(R"('\p{L}+')"),
            std::string::npos);
  EXPECT_NE(name_of(byte_level(true), true).find("ignore_merges true"), std::string::npos);
  EXPECT_NE(name_of({{"type", "Whitespace"}}, false).find("\"Whitespace\""), std::string::npos);
  EXPECT_NE(
      name_of({{"type", "ByteLevel"}, {"add_prefix_space", true}}, false).find("add_prefix_space"),
      std::string::npos);
  EXPECT_NE(name_of(nullptr, false).find("found nothing"), std::string::npos);
}

TEST(TokenizerFile, ByteLevelVocabulariesAreRead) {
  Json document = byte_level_document();
  for (const bool pairs : {false, true}) {
    if (pairs) document["model"]["merges"] = Json::array({Json::array({"a", "b"})});
    const auto file = read_tokenizer_file(as_read(document), "t.json", 7);
    ASSERT_TRUE(file) << file.error().message;
    const Vocabulary& v = file->vocabulary;
    EXPECT_EQ(v.model, "gpt2");
    EXPECT_EQ(v.pre, "gpt-2");
    EXPECT_EQ(v.tokens,
              (std::vector<std::string>{"a", "b", "ab", "<end>", "<tool>", "[PAD5]", "[PAD6]"}));
    EXPECT_EQ(v.types, (Ids{1, 1, 1, 3, 4, 5, 5}));
    EXPECT_EQ(v.merges, std::vector<std::string>{"a b"});
  }
}

TEST(TokenizerFile, SentencePieceMergesBecomeScores) {
  const auto file = read_tokenizer_file(as_read(sentencepiece_document()), "t.json", 266);
  ASSERT_TRUE(file) << file.error().message;
  const Vocabulary& v = file->vocabulary;
  EXPECT_EQ(v.model, "llama");
  EXPECT_EQ(v.add_space_prefix, false);
  EXPECT_EQ(v.unknown, 0);
  EXPECT_EQ((Ids(v.types.begin(), v.types.begin() + 11)), (Ids{2, 3, 1, 1, 1, 1, 1, 1, 1, 1, 6}));
  // In the order of the first merge that makes each; what no merge makes has less.
  EXPECT_GT(v.scores[2], v.scores[3]);
  EXPECT_GT(v.scores[3], v.scores[4]);
  EXPECT_GT(v.scores[4], v.scores[5]);
  EXPECT_GT(v.scores[5], v.scores[6]);
  const auto tokenizer = Tokenizer::build(v);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ(*tokenizer->encode(" abc", {.add_bos = false}), (Ids{4, 8}));
  EXPECT_EQ(*tokenizer->encode("bcd", {.add_bos = false}), (Ids{5, 10 + 'd'}));
}

TEST(TokenizerFile, MetaspacePutsABlankFirst) {
  Json document = sentencepiece_document();
  document["normalizer"] = nullptr;
  document["pre_tokenizer"] = {
      {"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "first"}};
  EXPECT_EQ(read_tokenizer_file(as_read(document), "t.json", 266)->vocabulary.add_space_prefix,
            true);
  document["pre_tokenizer"]["prepend_scheme"] = "never";
  EXPECT_EQ(read_tokenizer_file(as_read(document), "t.json", 266)->vocabulary.add_space_prefix,
            false);
}

void expect_refused(const Json& document, size_t n_tokens, const char* named) {
  const auto file = read_tokenizer_file(as_read(document), "t.json", n_tokens);
  ASSERT_FALSE(file) << named;
  EXPECT_NE(file.error().message.find(named), std::string::npos) << file.error().message;
  EXPECT_TRUE(file.error().message.starts_with("t.json: ")) << file.error().message;
}

TEST(TokenizerFile, WhatCannotBeSaidIsRefused) {
  Json document = byte_level_document();
  expect_refused(document, 2, "an id below 2");
  document["model"]["type"] = "Unigram";
  expect_refused(document, 5, "Unigram");
  document = byte_level_document();
  document["model"]["merges"] = {"b a"};
  expect_refused(document, 5, "b a");
  document = byte_level_document();
  document["model"]["vocab"]["c"] = 2;
  expect_refused(document, 5, "\"c\"");
  document = byte_level_document();
  document["added_tokens"][0]["id"] = 1;
  expect_refused(document, 5, "\"<end>\"");
  document = byte_level_document();
  document["normalizer"] = {{"type", "Lowercase"}};
  expect_refused(document, 5, "Lowercase");
  document = byte_level_document();
  document["post_processor"] = {{"type", "BertProcessing"}};
  expect_refused(document, 5, "BertProcessing");
  document = sentencepiece_document();
  document["normalizer"] = nullptr;
  expect_refused(document, 266, "U+2581");
}

TEST(TokenizerFile, WhatIsLeftOutIsNoted) {
  Json document = byte_level_document();
  document["added_tokens"][1]["id"] = 5;
  document["added_tokens"][0]["rstrip"] = true;
  document["normalizer"] = {{"type", "NFC"}};
  const auto file = read_tokenizer_file(as_read(document), "t.json", 5);
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ(file->notes.size(), 3u);
  EXPECT_NE(file->notes[0].find("rstrip"), std::string::npos);
  EXPECT_NE(file->notes[1].find("<tool>"), std::string::npos);
  EXPECT_NE(file->notes[2].find("NFC"), std::string::npos);
}

// A folder with the byte-level vocabulary, and what else a test wants in it.
class Folder : public testing::Test {
 protected:
  Folder() {
    Json document = byte_level_document();
    document["post_processor"] = {{"type", "TemplateProcessing"},
                                  {"single", Json::array({{{"SpecialToken", {{"id", "<end>"}}}},
                                                          {{"Sequence", {{"id", "A"}}}}})}};
    write("tokenizer.json", document);
  }
  void write(const std::string& name, const Json& json) {
    write_text(dir_.file(name), json.dump());
  }
  Result<TokenizerFolder> read(const Json& config = Json::object()) {
    return read_tokenizer_folder(dir_.file(""), *JsonFields::of(config, "config.json"), 5);
  }
  TestDir dir_;
};

TEST_F(Folder, SpecialTokensComeFromTheFirstFileThatNamesThem) {
  write("tokenizer_config.json",
        {{"eos_token", {{"content", "<end>"}}}, {"bos_token", nullptr}, {"add_bos_token", false}});
  write("generation_config.json", {{"bos_token_id", 4}, {"eos_token_id", {3, 2, 1, 0}}});
  const auto read_folder = read({{"bos_token_id", 0}, {"eos_token_id", 0}, {"pad_token_id", 1}});
  ASSERT_TRUE(read_folder) << read_folder.error().message;
  const Vocabulary& v = read_folder->vocabulary;
  EXPECT_EQ(v.eos, 3);
  EXPECT_EQ(v.bos, 4);
  EXPECT_EQ(v.padding, 1);
  EXPECT_EQ(v.eot, 2);  // ends an answer too
  EXPECT_EQ(v.eom, 1);
  EXPECT_EQ(v.add_bos, false);
  ASSERT_EQ(read_folder->notes.size(), 1u);
  EXPECT_NE(read_folder->notes[0].find("token 0"), std::string::npos);
}

TEST_F(Folder, ThePostProcessorPutsBosFirst) {
  const auto read_folder = read();
  ASSERT_TRUE(read_folder) << read_folder.error().message;
  EXPECT_EQ(read_folder->vocabulary.add_bos, true);
  EXPECT_EQ(read_folder->vocabulary.bos, 3);
  EXPECT_FALSE(read_folder->adds_eos);
}

TEST_F(Folder, TemplatesComeAsOneAsAListOrAsAFile) {
  write("tokenizer_config.json", {{"chat_template", "one"}});
  EXPECT_EQ(read()->vocabulary.chat_template, "one");
  write("tokenizer_config.json",
        {{"chat_template", Json::array({{{"name", "default"}, {"template", "d"}},
                                        {{"name", "rag"}, {"template", "r"}}})}});
  EXPECT_EQ(read()->vocabulary.chat_template, "d");
  ASSERT_EQ(read()->named_templates.size(), 1u);
  EXPECT_EQ(read()->named_templates[0].second, "r");
  write_text(dir_.file("chat_template.jinja"), "file");
  EXPECT_EQ(read()->vocabulary.chat_template, "file");
}

TEST_F(Folder, ATokenThatIsNotThereIsRefused) {
  write("tokenizer_config.json", {{"eos_token", "<fin>"}});
  const auto read_folder = read();
  ASSERT_FALSE(read_folder);
  EXPECT_NE(read_folder.error().message.find("\"<fin>\""), std::string::npos)
      << read_folder.error().message;
}

}  // namespace
}  // namespace longhaul
