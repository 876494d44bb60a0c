// SentencePiece BPE (Kudo and Richardson 2018): characters as first symbols; the neighbours whose
// joint text is the token of the highest score are joined first; what is no token in the end is
// written in byte tokens.
#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>

#include "tokenizer/encoder.h"
#include "tokenizer/merge.h"

namespace longhaul {
namespace {

// Control tokens are no text; user-defined ones were found before.
bool can_be_merged(TokenType type) {
  return type == TokenType::kNormal || type == TokenType::kUnused;
}

class SpmEncoder final : public Encoder {
 public:
  SpmEncoder(const TokenTable& tokens, bool add_space_prefix)
      : tokens_(tokens), add_space_prefix_(add_space_prefix) {}

  Status load(const Vocabulary& vocabulary);
  Status encode(std::string_view text, bool at_start, std::vector<int32_t>& ids) const override;
  size_t n_missing_bytes() const override {
    return static_cast<size_t>(std::count(byte_ids_.begin(), byte_ids_.end(), -1));
  }

 private:
  Status encode_stretch(std::string_view text, SymbolMerger& merger,
                        std::vector<int32_t>& ids) const;
  Status append_bytes(std::string_view bytes, std::vector<int32_t>& ids) const;
  // The token of a text that merging may make, or -1.
  int32_t find_text(std::string_view text) const;

  const TokenTable& tokens_;
  bool add_space_prefix_;
  std::vector<uint32_t> ranks_;          // per token: its place when sorted by falling score
  std::array<int32_t, 256> byte_ids_{};  // -1: no token
  int32_t unknown_id_ = -1;
  // No token has a blank behind another character, so that no merge crosses such a place and the
  // text may be cut there: the same tokens from many small queues, which is much faster than one
  // large one.
  bool cut_at_blanks_ = true;
};

bool is_cut(std::string_view text, size_t pos) { return text[pos] == ' ' && text[pos - 1] != ' '; }

// The character that SentencePiece writes for a blank. In a text it is one.
constexpr std::string_view kBlank = "\xE2\x96\x81";

std::string with_blanks(std::string_view text, bool adds_space) {
  std::string changed(adds_space ? " " : "");
  changed.reserve(text.size() + 1);
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(kBlank, at), text.size());
    changed += text.substr(at, end - at);
    if (end < text.size()) changed += ' ';
    at = end + kBlank.size();
  }
  return changed;
}

Status SpmEncoder::load(const Vocabulary& vocabulary) {
  if (vocabulary.scores.empty()) {
    return bad_input("tokenizer.ggml.scores: a vocabulary of kind `llama` needs them");
  }
  if (vocabulary.types.empty()) {
    return bad_input("tokenizer.ggml.token_type: a vocabulary of kind `llama` needs them");
  }
  for (size_t i = 0; i < vocabulary.scores.size(); ++i) {
    if (std::isnan(vocabulary.scores[i])) {
      return bad_input("tokenizer.ggml.scores[{}]: not a number", i);
    }
  }
  std::vector<float> order = vocabulary.scores;
  std::sort(order.begin(), order.end(), std::greater<>());
  order.erase(std::unique(order.begin(), order.end()), order.end());
  ranks_.reserve(vocabulary.scores.size());
  for (const float score : vocabulary.scores) {
    const auto place = std::lower_bound(order.begin(), order.end(), score, std::greater<>());
    ranks_.push_back(static_cast<uint32_t>(place - order.begin()));
  }
  byte_ids_.fill(-1);
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    const std::string_view piece = tokens_.piece(id);
    if (tokens_.type(id) == TokenType::kByte) byte_ids_[static_cast<uint8_t>(piece[0])] = id;
    if (!can_be_merged(tokens_.type(id))) continue;
    for (size_t pos = 1; pos < piece.size(); ++pos) {
      if (is_cut(piece, pos)) cut_at_blanks_ = false;
    }
  }
  if (vocabulary.unknown) unknown_id_ = static_cast<int32_t>(*vocabulary.unknown);
  return {};
}

int32_t SpmEncoder::find_text(std::string_view text) const {
  if (text.size() > tokens_.max_piece_bytes()) return -1;
  const auto id = tokens_.find(text);
  if (!id) return -1;
  const TokenType type = tokens_.type(*id);
  const bool is_text =
      type == TokenType::kNormal || type == TokenType::kUserDefined || type == TokenType::kUnused;
  return is_text ? *id : -1;
}

Status SpmEncoder::encode(std::string_view text, bool at_start, std::vector<int32_t>& ids) const {
  if (text.empty()) return {};
  const bool adds_space = at_start && add_space_prefix_;
  std::string changed;
  if (adds_space || text.find(kBlank) != std::string_view::npos) {
    changed = with_blanks(text, adds_space);
    text = changed;
  }
  SymbolMerger merger;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = cut_at_blanks_ ? begin + 1 : text.size();
    while (end < text.size() && !is_cut(text, end)) ++end;
    LH_RETURN_IF_ERROR(encode_stretch(text.substr(begin, end - begin), merger, ids));
    begin = end;
  }
  return {};
}

Status SpmEncoder::encode_stretch(std::string_view text, SymbolMerger& merger,
                                  std::vector<int32_t>& ids) const {
  merger.clear();
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Char c = decode_utf8(text, pos);
    const size_t length = c.state == Utf8State::kValid ? c.n_bytes : 1;
    merger.add(static_cast<uint32_t>(pos), static_cast<uint32_t>(length),
               find_text(text.substr(pos, length)));
    pos += length;
  }
  merger.run([&](const Symbol& left, const Symbol& right) -> Merge {
    const int32_t id = find_text(text.substr(left.begin, left.length + right.length));
    return id < 0 ? Merge{} : Merge{ranks_[static_cast<size_t>(id)], id};
  });
  Status status;
  merger.for_each([&](const Symbol& symbol) {
    if (symbol.id >= 0) {
      ids.push_back(symbol.id);
    } else if (status) {
      status = append_bytes(text.substr(symbol.begin, symbol.length), ids);
    }
  });
  return status;
}

Status SpmEncoder::append_bytes(std::string_view bytes, std::vector<int32_t>& ids) const {
  const auto id_of = [&](char byte) { return byte_ids_[static_cast<uint8_t>(byte)]; };
  if (std::all_of(bytes.begin(), bytes.end(), [&](char byte) { return id_of(byte) >= 0; })) {
    for (const char byte : bytes) ids.push_back(id_of(byte));
    return {};
  }
  if (unknown_id_ < 0) {
    return bad_input("the vocabulary has neither byte tokens nor an unknown token for {}",
                     quoted(bytes));
  }
  ids.push_back(unknown_id_);
  return {};
}

}  // namespace

Result<std::unique_ptr<Encoder>> make_spm_encoder(const Vocabulary& vocabulary,
                                                  const TokenTable& tokens, bool add_space_prefix) {
  auto encoder = std::make_unique<SpmEncoder>(tokens, add_space_prefix);
  LH_RETURN_IF_ERROR(encoder->load(vocabulary));
  return encoder;
}

}  // namespace longhaul
