// Which pre-tokenizer a tokenizer.json describes, by what it says rather than by a model's name.
#pragma once

#include <string>

#include "convert/json_file.h"

namespace longhaul {

// The value of tokenizer.ggml.pre for a byte-level vocabulary. `fields` are those of the document,
// `ignores_merges` its model.ignore_merges. Error: no `pre_tokenizer`, or one that cuts in a way
// that none we know does; the message has the patterns found.
Result<std::string> find_pretokenizer_name(const JsonFields& fields, bool ignores_merges);

}  // namespace longhaul
