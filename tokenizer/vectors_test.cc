// The published vocabularies and their test vectors: token for token.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <sstream>

#include "tokenizer/shared_data.h"
#include "tokenizer/tokenizer.h"

namespace longhaul {
namespace {

std::string read_all(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The texts of an .inp file: each ends with a line `__ggml_vocab_test__`.
std::vector<std::string> read_texts(const std::filesystem::path& path) {
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::string rest = read_all(path);
  std::vector<std::string> texts;
  for (size_t end = rest.find(separator); end != std::string::npos; end = rest.find(separator)) {
    texts.push_back(rest.substr(0, end));
    rest.erase(0, end + separator.size());
  }
  EXPECT_TRUE(rest.empty()) << "a text without a separator behind it: " << rest;
  return texts;
}

std::vector<std::vector<int32_t>> read_ids(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::vector<std::vector<int32_t>> lists;
  for (std::string line; std::getline(in, line);) {
    std::istringstream numbers(line);
    lists.emplace_back(std::istream_iterator<int32_t>(numbers), std::istream_iterator<int32_t>());
  }
  return lists;
}

class VectorsTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    base_ = tokenizer_data_dir() / GetParam();
    if (!std::filesystem::exists(path(".gguf"))) {
      GTEST_SKIP() << path(".gguf") << " is absent; set LONGHAUL_SHARED to the shared folder";
    }
    auto file = GgufFile::open(path(".gguf").string());
    ASSERT_TRUE(file) << file.error().message;
    auto tokenizer = Tokenizer::load(*file);
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    tokenizer_ = std::make_unique<Tokenizer>(std::move(*tokenizer));
  }
  std::filesystem::path path(const char* extension) const { return base_.string() + extension; }

  std::filesystem::path base_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_P(VectorsTest, EveryVectorPasses) {
  const auto texts = read_texts(path(".inp"));
  const auto expected = read_ids(path(".out"));
  ASSERT_EQ(texts.size(), expected.size());
  ASSERT_GT(texts.size(), 40u);
  Tokenizer::EncodeOptions options;
  options.add_bos = false;
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto ids = tokenizer_->encode(texts[i], options);
    ASSERT_TRUE(ids) << ids.error().message;
    EXPECT_EQ(*ids, expected[i]) << "text " << i << ": " << texts[i];
    EXPECT_EQ(tokenizer_->decode(*ids), texts[i]) << "text " << i;
  }
}

std::string test_name(const testing::TestParamInfo<const char*>& vocabulary) {
  std::string name = vocabulary.param;
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, VectorsTest,
                         testing::Values("gpt-2", "llama-bpe", "llama-spm", "qwen2",
                                         "deepseek-coder", "deepseek-llm", "starcoder"),
                         test_name);

}  // namespace
}  // namespace longhaul
