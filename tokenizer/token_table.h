// The tokens of a vocabulary as bytes: each token's text, its type, and the way back from text to
// id.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "tokenizer/vocabulary.h"

namespace longhaul {

enum class TokenizerFamily {
  kByteLevelBpe,   // `tokenizer.ggml.model` = "gpt2"
  kSentencePiece,  // "llama"
};

// Whether a token stands for text, and not only for itself.
inline bool is_text(TokenType type) {
  return type == TokenType::kNormal || type == TokenType::kUserDefined || type == TokenType::kByte;
}

// Immutable after build(). Not copyable or movable: the index points into the pieces.
class TokenTable {
 public:
  // Error: a SentencePiece byte token that is not `<0x00>` to `<0xFF>`.
  Status build(const Vocabulary& vocabulary, TokenizerFamily family);

  TokenTable() = default;
  TokenTable(const TokenTable&) = delete;
  TokenTable& operator=(const TokenTable&) = delete;

  size_t size() const { return pieces_.size(); }
  bool contains(int64_t id) const { return id >= 0 && static_cast<uint64_t>(id) < size(); }
  // The bytes a token stands for; of control tokens their name. `id` must be in the vocabulary.
  std::string_view piece(int32_t id) const { return pieces_[static_cast<size_t>(id)]; }
  TokenType type(int32_t id) const { return types_[static_cast<size_t>(id)]; }
  // The token whose piece is `bytes`. Where several are, one that stands for text goes first.
  std::optional<int32_t> find(std::string_view bytes) const;
  size_t max_piece_bytes() const { return max_piece_bytes_; }

 private:
  std::vector<std::string> pieces_;
  std::vector<TokenType> types_;
  std::unordered_map<std::string_view, int32_t> ids_;
  size_t max_piece_bytes_ = 0;
};

}  // namespace longhaul
