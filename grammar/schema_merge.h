// Two schemas as one that both hold in.
#pragma once

#include <string>

#include "base/result.h"
#include "grammar/json_parts.h"

namespace longhaul::grammar {

// True for keywords that do not say what a value looks like: "title", "description", "x-...".
bool is_annotation(std::string_view keyword);

// Each is an object, true or false. Error: keywords that are in both and cannot be joined, with
// `path`.
Result<Json> merge_schemas(const Json& a, const Json& b, const std::string& path);

}  // namespace longhaul::grammar
