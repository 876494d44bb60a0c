// Literals in the source of a template.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace longhaul::jinja {

bool is_digit(char c);
bool starts_name(char c);

// How long the number at the text's beginning, a digit, is: 1_000, 0x1F, 1.5e-3.
size_t number_length(std::string_view text, bool& is_real);

// The value of an integer as number_length() reads it. Error: beyond 64 bits.
Result<int64_t> parse_integer(std::string_view digits);
double parse_real(std::string_view digits);

// What stands between the quotes, Python's escapes replaced. Error: an escape cut off, or of no
// character.
Result<std::string> unescape(std::string_view text);

}  // namespace longhaul::jinja
