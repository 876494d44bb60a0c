// Conversations through a model's chat template.
#pragma once

#include <string>

#include "base/result.h"
#include "tokenizer/chat_template.h"

namespace longhaul {

// The template in the file at `path`, or the tokenizer's own where it is empty. Error: the file
// cannot be read, there is no template, or it cannot be parsed.
Result<ChatTemplate> load_chat_template(const std::string& path, const Tokenizer& tokenizer);

}  // namespace longhaul
