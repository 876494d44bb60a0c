// Pre-tokenizers: how each family of models cuts a text into pieces before byte-pair merging.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/scanners.h"

namespace longhaul {

// One value of `tokenizer.ggml.pre`. The stages run one after the other: each cuts every piece of
// the stage before into its matches and what lies between them, as if the piece were the whole
// text.
struct PreTokenizer {
  std::string_view name;
  std::span<const Scanner> stages;
  bool ignore_merges;    // a piece that is a token is taken whole, whether merges lead to it or not
  bool add_bos_default;  // where `tokenizer.ggml.add_bos_token` is missing
};

// nullptr if the name is unknown.
const PreTokenizer* find_pretokenizer(std::string_view name);
// All names, with commas, for messages.
std::string pretokenizer_names();

// The pieces of `text`, none empty, in order; together they are the text.
std::vector<std::string_view> pretokenize(const PreTokenizer& pre, std::string_view text);

}  // namespace longhaul
