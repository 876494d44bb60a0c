#include "tokenizer/token_table.h"

#include <algorithm>
#include <charconv>

#include "tokenizer/byte_alphabet.h"

namespace longhaul {
namespace {

// U+2581, which stands for a blank in SentencePiece vocabularies.
constexpr std::string_view kSpaceMark = "\xE2\x96\x81";

std::string unescape_spaces(std::string_view text) {
  std::string out;
  for (size_t pos = 0; pos < text.size();) {
    const bool is_mark = text.substr(pos, kSpaceMark.size()) == kSpaceMark;
    out.push_back(is_mark ? ' ' : text[pos]);
    pos += is_mark ? kSpaceMark.size() : 1;
  }
  return out;
}

Result<std::string> parse_byte_token(std::string_view text, size_t id) {
  unsigned value = 0;
  if (text.size() == 6 && text.substr(0, 3) == "<0x" && text.back() == '>') {
    const auto [end, error] = std::from_chars(text.data() + 3, text.data() + 5, value, 16);
    if (error == std::errc{} && end == text.data() + 5) {
      return std::string(1, static_cast<char>(value));
    }
  }
  return bad_input("tokenizer.ggml.tokens[{}]: a byte token must be <0x00> to <0xFF>, found {}", id,
                   quoted(text));
}

Result<std::string> piece_of(const std::string& text, size_t id, TokenType type,
                             TokenizerFamily family) {
  const bool escaped = type == TokenType::kNormal || type == TokenType::kUnused;
  if (family == TokenizerFamily::kByteLevelBpe) {
    return escaped ? bytes_from_alphabet(text) : text;
  }
  if (type == TokenType::kByte) return parse_byte_token(text, id);
  return escaped || type == TokenType::kUserDefined ? unescape_spaces(text) : text;
}

}  // namespace

Status TokenTable::build(const Vocabulary& vocabulary, TokenizerFamily family) {
  const size_t n = vocabulary.tokens.size();
  types_.assign(n, TokenType::kNormal);
  for (size_t i = 0; i < vocabulary.types.size(); ++i) {
    types_[i] = static_cast<TokenType>(vocabulary.types[i]);
  }
  pieces_.reserve(n);
  for (size_t i = 0; i < n; ++i) {
    LH_ASSIGN_OR_RETURN(std::string piece, piece_of(vocabulary.tokens[i], i, types_[i], family));
    max_piece_bytes_ = std::max(max_piece_bytes_, piece.size());
    pieces_.push_back(std::move(piece));
  }
  ids_.reserve(n);
  for (const bool normal_first : {true, false}) {
    for (size_t i = 0; i < n; ++i) {
      const bool first = types_[i] == TokenType::kNormal || types_[i] == TokenType::kUserDefined;
      if (first == normal_first && !pieces_[i].empty()) {
        ids_.emplace(pieces_[i], static_cast<int32_t>(i));
      }
    }
  }
  return {};
}

std::optional<int32_t> TokenTable::find(std::string_view bytes) const {
  const auto found = ids_.find(bytes);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

}  // namespace longhaul
