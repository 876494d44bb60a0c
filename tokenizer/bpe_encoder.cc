// Byte-level BPE (Sennrich et al. 2016, over bytes as in GPT-2): pieces of text, their bytes as
// first symbols, then the merges in the order of their ranks.
#include <algorithm>
#include <array>
#include <string>
#include <unordered_map>

#include "tokenizer/byte_alphabet.h"
#include "tokenizer/encoder.h"
#include "tokenizer/pair_table.h"

namespace longhaul {
namespace {

using TextToId = std::unordered_map<std::string_view, int32_t>;

TextToId index_texts(const Vocabulary& vocabulary) {
  TextToId ids;
  ids.reserve(vocabulary.tokens.size());
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    ids.emplace(vocabulary.tokens[i], static_cast<int32_t>(i));
  }
  return ids;
}

class BpeEncoder final : public Encoder {
 public:
  BpeEncoder(const TokenTable& tokens, const PreTokenizer& pre) : tokens_(tokens), pre_(pre) {}

  Status load(const Vocabulary& vocabulary);
  Status encode(std::string_view text, bool at_start, std::vector<int32_t>& ids) const override;
  size_t n_missing_bytes() const override {
    return static_cast<size_t>(std::count(byte_ids_.begin(), byte_ids_.end(), -1));
  }

 private:
  Status add_merge(const Vocabulary& vocabulary, const TextToId& ids, size_t rank);
  Status encode_piece(std::string_view piece, SymbolMerger& merger,
                      std::vector<int32_t>& ids) const;

  const TokenTable& tokens_;
  const PreTokenizer& pre_;
  std::array<int32_t, 256> byte_ids_{};  // -1: no token
  PairTable merges_;
};

Status BpeEncoder::load(const Vocabulary& vocabulary) {
  const TextToId ids = index_texts(vocabulary);
  for (size_t byte = 0; byte < 256; ++byte) {
    std::string text;
    append_utf8(text, alphabet_char(static_cast<uint8_t>(byte)));
    const auto found = ids.find(text);
    // A user-defined token of that text stands for the text, not for the byte.
    const bool stands_for_byte =
        found != ids.end() && tokens_.type(found->second) == TokenType::kNormal;
    byte_ids_[byte] = stands_for_byte ? found->second : -1;
  }
  if (vocabulary.merges.size() >= kNoMerge) {
    return bad_input("tokenizer.ggml.merges: {} merges are too many", vocabulary.merges.size());
  }
  merges_.reserve(vocabulary.merges.size());
  for (size_t rank = 0; rank < vocabulary.merges.size(); ++rank) {
    LH_RETURN_IF_ERROR(add_merge(vocabulary, ids, rank));
  }
  return {};
}

Status BpeEncoder::add_merge(const Vocabulary& vocabulary, const TextToId& ids, size_t rank) {
  const std::string_view merge = vocabulary.merges[rank];
  const size_t space = merge.find(' ', 1);  // the left token may itself start with a blank
  if (space == std::string_view::npos || space + 1 == merge.size()) {
    return bad_input(
        "tokenizer.ggml.merges[{}]: expected two tokens with a blank between, found {}", rank,
        quoted(merge));
  }
  const auto left = ids.find(merge.substr(0, space));
  const auto right = ids.find(merge.substr(space + 1));
  if (left == ids.end() || right == ids.end()) {
    return bad_input("tokenizer.ggml.merges[{}]: {} names a token that the vocabulary lacks", rank,
                     quoted(merge));
  }
  const auto joined = ids.find(std::string(left->first) + std::string(right->first));
  if (joined == ids.end()) {
    return bad_input("tokenizer.ggml.merges[{}]: {} gives a token that the vocabulary lacks", rank,
                     quoted(merge));
  }
  merges_.insert(left->second, right->second, {static_cast<uint32_t>(rank), joined->second});
  return {};
}

Status BpeEncoder::encode(std::string_view text, bool /*at_start*/,
                          std::vector<int32_t>& ids) const {
  SymbolMerger merger;
  for (const std::string_view piece : pretokenize(pre_, text)) {
    LH_RETURN_IF_ERROR(encode_piece(piece, merger, ids));
  }
  return {};
}

Status BpeEncoder::encode_piece(std::string_view piece, SymbolMerger& merger,
                                std::vector<int32_t>& ids) const {
  if (pre_.ignore_merges) {
    if (const auto id = tokens_.find(piece); id && tokens_.type(*id) == TokenType::kNormal) {
      ids.push_back(*id);
      return {};
    }
  }
  merger.clear();
  for (size_t i = 0; i < piece.size(); ++i) {
    const auto byte = static_cast<uint8_t>(piece[i]);
    if (byte_ids_[byte] < 0) {
      return bad_input(
          "the vocabulary has no token for byte 0x{:02X}, which the text holds; {} of the 256 "
          "bytes "
          "have none",
          byte, n_missing_bytes());
    }
    merger.add(static_cast<uint32_t>(i), 1, byte_ids_[byte]);
  }
  merger.run(
      [&](const Symbol& left, const Symbol& right) { return merges_.find(left.id, right.id); });
  merger.for_each([&](const Symbol& symbol) { ids.push_back(symbol.id); });
  return {};
}

}  // namespace

Result<std::unique_ptr<Encoder>> make_bpe_encoder(const Vocabulary& vocabulary,
                                                  const TokenTable& tokens,
                                                  const PreTokenizer& pre) {
  auto encoder = std::make_unique<BpeEncoder>(tokens, pre);
  LH_RETURN_IF_ERROR(encoder->load(vocabulary));
  return encoder;
}

}  // namespace longhaul
