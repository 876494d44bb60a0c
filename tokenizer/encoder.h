// What the two families of tokenizers have in common: plain text, without special tokens, to ids.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tokenizer/pretokenizer.h"
#include "tokenizer/token_table.h"

namespace longhaul {

class Encoder {
 public:
  virtual ~Encoder() = default;

  // Appends the tokens of `text` (under 4 GiB). `at_start`: nothing but control tokens stands
  // before it. Error: the text holds a byte for which the vocabulary has no token.
  virtual Status encode(std::string_view text, bool at_start, std::vector<int32_t>& ids) const = 0;

  // How many of the 256 bytes no token stands for.
  virtual size_t n_missing_bytes() const = 0;
};

// Byte-level BPE. `tokens` must outlive the encoder. Error: a merge that is not two known tokens
// whose texts joined are a token.
Result<std::unique_ptr<Encoder>> make_bpe_encoder(const Vocabulary& vocabulary,
                                                  const TokenTable& tokens,
                                                  const PreTokenizer& pre);

// SentencePiece BPE: scores order the merges, bytes stand for characters without a token, and with
// `add_space_prefix` a text at the start begins with a blank. Error: no scores, or one that is not
// a number.
Result<std::unique_ptr<Encoder>> make_spm_encoder(const Vocabulary& vocabulary,
                                                  const TokenTable& tokens, bool add_space_prefix);

}  // namespace longhaul
