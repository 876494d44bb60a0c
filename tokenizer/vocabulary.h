// A vocabulary as plain data: what the `tokenizer.*` keys of a GGUF file say, before it is checked.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "io/gguf.h"

namespace longhaul {

// The values of `tokenizer.ggml.token_type`.
enum class TokenType : int32_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,      // has meaning for the model, not as text: <|im_end|>
  kUserDefined = 4,  // text that is always one token
  kUnused = 5,
  kByte = 6,  // SentencePiece's <0x00> to <0xFF>
};

struct Vocabulary {
  std::string model;               // "gpt2" or "llama"
  std::optional<std::string> pre;  // the pre-tokenizer's name
  std::vector<std::string> tokens;
  std::vector<float> scores;        // "llama": one per token
  std::vector<int32_t> types;       // one per token; empty if the file has none
  std::vector<std::string> merges;  // "gpt2": "left right", the most frequent first
  std::optional<int64_t> bos, eos, eot, eom, unknown, padding;
  std::optional<bool> add_bos;
  std::optional<bool> add_space_prefix;
  std::string chat_template;  // empty if the file has none
};

// Reads the keys. Error: a required key is missing, or a key is of another kind.
Result<Vocabulary> vocabulary_from_gguf(const GgufFile& file);

// What can be checked without knowing the family: at least one token, lists of equal length, types
// in range, special ids in range, no text twice (empty texts excepted).
Status check_vocabulary(const Vocabulary& vocabulary);

}  // namespace longhaul
