// Values from and to JSON.
#pragma once

#include <string>
#include <string_view>

#include "template/value.h"
#include "template/writer.h"

namespace longhaul::jinja {

// Everything in it is data. Error: not one JSON value, with what is wrong and where; an integer
// beyond 64 bits; nested too deep.
Result<Value> read_json(std::string_view text);

// As Python's json.dumps() writes it.
struct JsonStyle {
  bool ascii_only = false;
  std::string indent;      // of each level
  bool has_lines = false;  // each item on a line of its own
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sort_keys = false;
};

// Texts keep their origin, all else is data. Error: a value that JSON does not have.
Status write_json(Writer& out, const Value& value, const JsonStyle& style);

}  // namespace longhaul::jinja
