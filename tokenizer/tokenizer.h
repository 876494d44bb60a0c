// Text to token ids and back, as the model's own vocabulary says.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/text_range.h"
#include "tokenizer/encoder.h"
#include "tokenizer/token_matcher.h"
#include "tokenizer/token_table.h"
#include "tokenizer/vocabulary.h"

namespace longhaul {

// Immutable and safe to use from several threads. Move-only.
class Tokenizer {
 public:
  // Error: a malformed vocabulary, or a model or pre-tokenizer that is not supported; the message
  // names the key, what was found and what is supported.
  static Result<Tokenizer> load(const GgufFile& file);
  static Result<Tokenizer> build(const Vocabulary& vocabulary);

  // What a user should know: a missing pre-tokenizer, bytes without a token.
  const std::vector<std::string>& warnings() const { return warnings_; }

  struct EncodeOptions {
    std::optional<bool> add_bos;  // nothing: as the model's metadata says
    bool parse_special = false;   // take the names of control tokens in the text for the tokens
    // With parse_special: where they are text all the same, such as what a user said in a chat.
    // Ascending, apart, not empty, inside the text.
    std::span<const TextRange> said = {};
  };
  // The tokens of a text; bytes that are not UTF-8 are encoded one by one. User-defined tokens are
  // always matched, control tokens if asked for; where several match, the leftmost and then the
  // longest. Error: add_bos is asked for and the vocabulary has no BOS token; the text holds a byte
  // that the vocabulary has no token for; a text of 4 GiB or more.
  Result<std::vector<int32_t>> encode(std::string_view text, EncodeOptions options) const;
  Result<std::vector<int32_t>> encode(std::string_view text) const { return encode(text, {}); }

  // The bytes of the tokens, which need not be whole characters (StreamDecoder gives those).
  // Control and unused tokens give nothing unless `render_special`, ids outside of the vocabulary
  // never. The blank that encode() puts before a text (SentencePiece) is taken off again, so that
  // decode(encode(text)) == text, but where a text has SentencePiece's own sign for a blank, U+2581.
  std::string decode(std::span<const int32_t> ids, bool render_special = false) const;
  // The bytes of one token, as they stand inside a text; of a control token its name. Empty if the
  // id is not in the vocabulary.
  std::string_view piece(int32_t id) const;
  // piece(), but empty for tokens that are no text (control, unused, unknown).
  std::string_view text_piece(int32_t id) const;

  size_t vocab_size() const { return tokens_->size(); }
  // The token that stands for these bytes: "<|im_end|>", " the", "\n".
  std::optional<int32_t> find_token(std::string_view bytes) const { return tokens_->find(bytes); }

  bool is_control(int32_t id) const;
  // EOS, EOT, EOM and the tokens known by name to end an answer.
  bool is_end_of_generation(int32_t id) const;
  const std::vector<int32_t>& end_of_generation() const { return end_ids_; }  // ascending

  std::optional<int32_t> bos() const { return bos_; }
  std::optional<int32_t> eos() const { return eos_; }
  std::optional<int32_t> unknown() const { return unknown_; }
  std::optional<int32_t> padding() const { return padding_; }
  bool add_bos() const { return add_bos_; }  // the model's default
  // A text at the start is given a blank before it.
  bool adds_space_prefix() const { return add_space_prefix_; }

  const std::string& chat_template() const { return chat_template_; }

 private:
  Tokenizer() = default;
  Status make_encoder(const Vocabulary& vocabulary);
  void collect_special(const Vocabulary& vocabulary);
  TokenMatcher::Match match_at(std::string_view text, size_t pos, const EncodeOptions& options,
                               std::span<const TextRange>& said) const;

  std::unique_ptr<TokenTable>
      tokens_;  // at a fixed address: the encoder and matchers point into it
  std::unique_ptr<Encoder> encoder_;
  TokenMatcher user_defined_;  // matched in every text
  TokenMatcher special_;       // these and the control tokens
  std::vector<int32_t> end_ids_;
  std::optional<int32_t> bos_, eos_, unknown_, padding_;
  bool add_bos_ = false;
  bool add_space_prefix_ = false;
  std::string chat_template_;
  std::vector<std::string> warnings_;
};

}  // namespace longhaul
