// Golden files: which texts llguidance accepts, and hashes of its token masks on the way through
// them (tools/make_grammar_golden.py). LONGHAUL_GRAMMAR_CASES names a folder of further files, such
// as one over the vocabulary of a published model.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "grammar/matcher.h"

namespace longhaul::grammar {
namespace {

using Json = nlohmann::json;

std::string bytes_of_hex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2)
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

struct GoldenFile {
  explicit GoldenFile(const std::string& path) {
    std::ifstream file(path);
    json = Json::parse(file);
    for (const Json& token : json["tokens"]) texts.push_back(bytes_of_hex(token));
    std::vector<std::string_view> views(texts.begin(), texts.end());
    views.emplace_back();  // the token that ends a text
    trie = std::make_shared<const TokenTrie>(
        views, std::vector<int32_t>{static_cast<int32_t>(texts.size())});
    compared = json["compared"];
  }

  Result<std::shared_ptr<const Grammar>> grammar(const Json& one) const {
    const std::string source = one["source"];
    return json["kind"] == "gbnf" ? parse_gbnf(source)
                                  : grammar_of_schema(source, JsonSpace::kNone);
  }

  // 64-bit FNV-1a over a byte for each token that is compared.
  std::string hash(const TokenBits& bits) const {
    uint64_t state = 0xCBF29CE484222325U;
    for (size_t i = 0; i < compared.size(); ++i) {
      if (compared[i] == '1') state = (state ^ (bits[i / 64] >> i % 64 & 1U)) * 0x100000001B3U;
    }
    return fmt::format("{:016x}", state);
  }

  Json json;
  std::vector<std::string> texts;
  std::shared_ptr<const TokenTrie> trie;
  std::string compared;
};

class GrammarGolden : public testing::TestWithParam<std::string> {};

TEST_P(GrammarGolden, SaysWhatLlguidanceSays) {
  const GoldenFile file(GetParam());
  const size_t stride = file.json["stride"];
  size_t n_texts = 0, n_masks = 0;
  for (const Json& one : file.json["cases"]) {
    SCOPED_TRACE(one["name"]);
    const auto grammar = file.grammar(one);
    EXPECT_TRUE(grammar) << grammar.error().message;
    if (!grammar) continue;
    Matcher matcher(std::make_shared<TokenMasks>(*grammar, file.trie));
    for (const Json& text : one["texts"]) {
      const TextState state =
          matcher.accept_bytes(matcher.start(), text[0].get_ref<const std::string&>());
      EXPECT_EQ(matcher.is_complete(state), text[1].get<bool>()) << text[0];
      ++n_texts;
    }
    for (const Json& masks : one["masks"]) {
      const std::string text = masks[0];
      TextState state = matcher.start();
      for (size_t i = 0; i < masks[1].size(); ++i) {
        const size_t begin = i * stride;
        EXPECT_EQ(file.hash(matcher.mask(state)), masks[1][i].get<std::string>())
            << text.substr(0, begin);
        state = matcher.accept_bytes(state, std::string_view(text).substr(begin, stride));
        ++n_masks;
      }
    }
  }
  EXPECT_GT(n_texts, 40U);
  EXPECT_GT(n_masks, 200U);
}

std::vector<std::string> golden_files() {
  std::vector<std::string> files;
  const auto add_folder = [&](const std::string& folder) {
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      if (entry.path().extension() == ".json") files.push_back(entry.path().string());
  };
  add_folder(std::string(LONGHAUL_SOURCE_DIR) + "/grammar/golden");
  if (const char* more = std::getenv("LONGHAUL_GRAMMAR_CASES")) add_folder(more);
  std::sort(files.begin(), files.end());
  return files;
}

INSTANTIATE_TEST_SUITE_P(Files, GrammarGolden, testing::ValuesIn(golden_files()),
                         [](const auto& file) { return "File" + std::to_string(file.index); });

}  // namespace
}  // namespace longhaul::grammar
