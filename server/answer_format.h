// What an answer is to look like, as requests word it: response_format, grammar, json_schema.
#pragma once

#include <memory>
#include <string_view>

#include "longhaul/grammar.h"
#include "server/json_fields.h"

namespace longhaul {

// The readers of response_format, json_schema, guided_json, grammar and guided_grammar, which fill
// in `target`; a second one that asks for something is refused. `body`: the object they stand in,
// as it was sent, since a schema's properties come in their order; empty: in that of their names.
// All must outlive the readers.
FieldReaders answer_format_fields(std::shared_ptr<const Grammar>& target, std::string_view body);

// The reader of an object such as {"type": "json_schema", "schema": {...}} alone, to which the
// fields `path` of the body lead.
FieldReader answer_format(std::shared_ptr<const Grammar>& target, std::string_view body,
                          std::vector<std::string_view> path);

}  // namespace longhaul
