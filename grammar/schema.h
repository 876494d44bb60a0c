// JSON schemas to a tree.
#pragma once

#include <string_view>

#include "base/result.h"
#include "grammar/syntax.h"
#include "longhaul/grammar.h"

namespace longhaul::grammar {

// Adds the rules of a schema to `syntax`; gives the one of its root. Error: no JSON; a keyword that
// is not known or not supported, or a value it cannot have, with its path:
// "#/properties/a/minimum".
Result<RuleId> add_schema(std::string_view schema, JsonSpace space, Syntax& syntax);

}  // namespace longhaul::grammar
