// Small vocabularies built by hand. For tests and the fuzz target.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/byte_alphabet.h"
#include "tokenizer/unicode.h"
#include "tokenizer/vocabulary.h"

namespace longhaul {

inline int32_t add_token(Vocabulary& v, std::string text, TokenType type, float score = 0) {
  v.tokens.push_back(std::move(text));
  v.types.push_back(static_cast<int32_t>(type));
  if (v.model == "llama") v.scores.push_back(score);
  return static_cast<int32_t>(v.tokens.size()) - 1;
}

// Adds the merge of two token texts, and its result where that is new.
inline void add_merge(Vocabulary& v, const std::string& left, const std::string& right) {
  v.merges.push_back(left + " " + right);
  const std::string joined = left + right;
  for (const std::string& token : v.tokens) {
    if (token == joined) return;
  }
  add_token(v, joined, TokenType::kNormal);
}

// Byte-level: ids 0 to 255 are the bytes, then the results of the merges.
inline Vocabulary byte_level_vocabulary(
    const std::string& pre, const std::vector<std::pair<std::string, std::string>>& merges = {}) {
  Vocabulary v;
  v.model = "gpt2";
  v.pre = pre;
  for (int byte = 0; byte < 256; ++byte) {
    std::string text;
    append_utf8(text, alphabet_char(static_cast<uint8_t>(byte)));
    add_token(v, text, TokenType::kNormal);
  }
  for (const auto& [left, right] : merges) add_merge(v, left, right);
  return v;
}

// SentencePiece: <unk>, <s>, </s>, the 256 bytes, then the pieces, each with a lower score than the
// one before.
inline Vocabulary sentence_piece_vocabulary(const std::vector<std::string>& pieces) {
  Vocabulary v;
  v.model = "llama";
  v.unknown = add_token(v, "<unk>", TokenType::kUnknown);
  v.bos = add_token(v, "<s>", TokenType::kControl);
  v.eos = add_token(v, "</s>", TokenType::kControl);
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (size_t byte = 0; byte < 256; ++byte) {
    const std::string text = {'<', '0', 'x', kHex[byte / 16], kHex[byte % 16], '>'};
    add_token(v, text, TokenType::kByte);
  }
  for (const std::string& piece : pieces) {
    add_token(v, piece, TokenType::kNormal, -static_cast<float>(v.tokens.size()));
  }
  return v;
}

}  // namespace longhaul
