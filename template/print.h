// Values as text: what an output tag and `~` write, and what Python's repr() writes within lists.
#pragma once

#include "template/value.h"
#include "template/writer.h"

namespace longhaul::jinja {

// A text as it is, what is undefined as nothing, the others as repr(). Error: an object, such as a
// macro or a namespace.
Status print(Writer& out, const Value& value);
Status print_repr(Writer& out, const Value& value);

// "1.5", "1e+16", "inf", as Python writes a float.
std::string format_real(double value);

// The text of a value: itself if it is one.
Result<Value> to_text(Budget& budget, const Value& value);

}  // namespace longhaul::jinja
