// All that a checkpoint folder says of its tokenizer, and the keys of a GGUF file that say the same.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "convert/json_file.h"
#include "io/gguf_writer.h"
#include "tokenizer/vocabulary.h"

namespace longhaul {

struct TokenizerFolder {
  Vocabulary vocabulary;
  bool adds_eos = false;
  // Further chat templates by name ("tool_use").
  std::vector<std::pair<std::string, std::string>> named_templates;
  std::vector<std::string> notes;  // what the user should know
};

// Reads tokenizer.json, and where they are there tokenizer_config.json, generation_config.json,
// chat_template.jinja and chat_template.json. `config` is config.json: its ids count where no other
// file names a token. `n_tokens`: the rows of the embedding. What it gives makes a Tokenizer.
// Errors: those of read_tokenizer_file(); a special token that the vocabulary lacks; a vocabulary
// that our own tokenizer refuses.
Result<TokenizerFolder> read_tokenizer_folder(const std::string& folder, const JsonFields& config,
                                              size_t n_tokens);

// Sets `tokenizer.*`.
void set_tokenizer_keys(const TokenizerFolder& tokenizer, GgufWriter& writer);

}  // namespace longhaul
