// A tokenizer.json as a vocabulary (tokenizer/vocabulary.h): tokens and their types, merges or
// scores, and how a text is cut.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "convert/json_file.h"
#include "tokenizer/vocabulary.h"

namespace longhaul {

struct TokenizerFile {
  Vocabulary vocabulary;                         // without special ids and templates
  std::unordered_map<std::string, int64_t> ids;  // of all tokens but those that fill holes
  // Control tokens that the post-processor puts around a text, if any.
  std::optional<std::string> first, last;
  std::vector<std::string> notes;  // what the user should know
};

// Reads the document of `file` for a model whose embedding has `n_tokens` rows: ids without a token
// become unused tokens, added tokens at or above n_tokens are left out with a note. Both families of
// the `BPE` model are known: byte-level, and SentencePiece's with byte fallback, whose merges become
// scores. Errors: anything else, two tokens of one id, an id that has no row.
Result<TokenizerFile> read_tokenizer_file(const Json& document, const std::string& file,
                                          size_t n_tokens);

}  // namespace longhaul
