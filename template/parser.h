// Tokens to a tree.
#pragma once

#include <string_view>

#include "template/ast.h"

namespace longhaul::jinja {

// Parses a source that normalize_source() made. Errors name the place, what was expected and what
// was found.
Result<Block> parse(std::string_view source);

}  // namespace longhaul::jinja
