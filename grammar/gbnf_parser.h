// GBNF, llama.cpp's notation of grammars, to a tree.
#pragma once

#include <string_view>

#include "base/result.h"
#include "grammar/syntax.h"

namespace longhaul::grammar {

// Adds the rules of `text` to `syntax` and gives the one named `root`. Error: what was expected and
// found, with line and column; a rule that is used and not defined, or defined twice.
Result<RuleId> parse_gbnf_rules(std::string_view text, Syntax& syntax);

}  // namespace longhaul::grammar
