// What an answer may look like: a language of texts, given by a grammar or by a JSON schema.
#pragma once

#include <memory>
#include <string_view>

#include "longhaul/result.h"

namespace longhaul {

// Never changes; any number of requests and models may use one at the same time.
class Grammar;

// A grammar in GBNF, the notation of llama.cpp; its rule `root` is the answer. Error: what was
// expected, with line and column; left recursion, or a size beyond the limits, with the rule.
Result<std::shared_ptr<const Grammar>> parse_gbnf(std::string_view text);

// White space between the parts of JSON.
enum class JsonSpace {
  kSome,  // at each place none, one blank, or a line break with up to 40 blanks or tabs
  kNone,
};

// The JSON texts that a schema allows, or a part of them; docs/constrained.md says which. Error: no
// JSON; a keyword that is not known or not supported, with its path in the schema.
Result<std::shared_ptr<const Grammar>> grammar_of_schema(std::string_view schema,
                                                         JsonSpace space = JsonSpace::kSome);

// Any JSON object.
Result<std::shared_ptr<const Grammar>> grammar_of_json_object();

}  // namespace longhaul
