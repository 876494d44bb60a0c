// What the tests of the tokenizer ask again and again.
#pragma once

#include <gtest/gtest.h>

#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/test_vocabulary.h"
#include "tokenizer/tokenizer.h"

namespace longhaul {

using Ids = std::vector<int32_t>;

inline Tokenizer make(const Vocabulary& vocabulary) {
  auto tokenizer = Tokenizer::build(vocabulary);
  EXPECT_TRUE(tokenizer) << tokenizer.error().message;
  return std::move(*tokenizer);
}

inline Ids encode(const Tokenizer& tokenizer, std::string_view text, bool parse_special = false,
                  bool add_bos = false) {
  Tokenizer::EncodeOptions options;
  options.add_bos = add_bos;
  options.parse_special = parse_special;
  const auto ids = tokenizer.encode(text, options);
  EXPECT_TRUE(ids) << ids.error().message;
  return *ids;
}

}  // namespace longhaul
