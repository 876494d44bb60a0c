// Regular expressions of JSON schemas (ECMA-262, the part that is regular) as parts of JSON texts.
#pragma once

#include <string_view>

#include "base/result.h"
#include "grammar/json_parts.h"

namespace longhaul::grammar {

// The texts, between their quotes, in which the pattern is found: from the first to the last
// character only where it says so by ^ and $. Error: what was expected, with its place in the
// pattern; what is no regular language (references, look-around, \b) or not known here (\p).
Result<ExprId> add_pattern(std::string_view pattern, JsonParts& parts);

}  // namespace longhaul::grammar
